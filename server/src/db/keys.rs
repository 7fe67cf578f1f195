//! Reading and replacing the rows of configuration keys and devices that many tables have.

use rusqlite::{Row, Transaction, params};

use super::DbError;
use crate::model::{Config, Devices};

/// A table of configuration keys, and the column that names its owner.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    select: &'static str,
    delete: &'static str,
    insert: &'static str,
}

macro_rules! table {
    ($name:literal, $owner:literal, config) => {
        Table {
            select: concat!("SELECT key, value FROM ", $name, " WHERE ", $owner, " = ?1"),
            delete: concat!("DELETE FROM ", $name, " WHERE ", $owner, " = ?1"),
            insert: concat!(
                "INSERT INTO ",
                $name,
                " (",
                $owner,
                ", key, value) VALUES (?1, ?2, ?3)"
            ),
        }
    };
    ($name:literal, $owner:literal, devices) => {
        Table {
            select: concat!(
                "SELECT device, key, value FROM ",
                $name,
                " WHERE ",
                $owner,
                " = ?1"
            ),
            delete: concat!("DELETE FROM ", $name, " WHERE ", $owner, " = ?1"),
            insert: concat!(
                "INSERT INTO ",
                $name,
                " (",
                $owner,
                ", device, key, value) VALUES (?1, ?2, ?3, ?4)"
            ),
        }
    };
}

/// Keys of instances.
pub const INSTANCE_CONFIG: Table = table!("instance_config", "instance_id", config);
/// Devices of instances.
pub const INSTANCE_DEVICES: Table = table!("instance_devices", "instance_id", devices);
/// Keys of profiles.
pub const PROFILE_CONFIG: Table = table!("profile_config", "profile_id", config);
/// Devices of profiles.
pub const PROFILE_DEVICES: Table = table!("profile_devices", "profile_id", devices);
/// Keys of projects.
pub const PROJECT_CONFIG: Table = table!("project_config", "project_id", config);
/// Keys of pools.
pub const POOL_CONFIG: Table = table!("storage_pool_config", "pool_id", config);
/// Keys of custom volumes.
pub const VOLUME_CONFIG: Table = table!("storage_volume_config", "volume_id", config);
/// Keys of networks.
pub const NETWORK_CONFIG: Table = table!("network_config", "network_id", config);
/// Properties of images.
pub const IMAGE_PROPERTIES: Table = table!("image_properties", "image_id", config);

/// All keys of an owner.
pub fn load(tx: &Transaction<'_>, table: Table, owner: i64) -> Result<Config, DbError> {
    let mut statement = tx.prepare_cached(table.select)?;
    let rows = statement.query_map([owner], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Replaces all keys of an owner.
pub fn replace(
    tx: &Transaction<'_>,
    table: Table,
    owner: i64,
    config: &Config,
) -> Result<(), DbError> {
    tx.prepare_cached(table.delete)?.execute([owner])?;
    let mut insert = tx.prepare_cached(table.insert)?;
    for (key, value) in config {
        insert.execute(params![owner, key, value])?;
    }
    Ok(())
}

/// All devices of an owner.
pub fn load_devices(tx: &Transaction<'_>, table: Table, owner: i64) -> Result<Devices, DbError> {
    let mut statement = tx.prepare_cached(table.select)?;
    let rows = statement.query_map([owner], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let mut devices = Devices::new();
    for row in rows {
        let (device, key, value): (String, String, String) = row?;
        devices.entry(device).or_default().insert(key, value);
    }
    Ok(devices)
}

/// Replaces all devices of an owner.
pub fn replace_devices(
    tx: &Transaction<'_>,
    table: Table,
    owner: i64,
    devices: &Devices,
) -> Result<(), DbError> {
    tx.prepare_cached(table.delete)?.execute([owner])?;
    let mut insert = tx.prepare_cached(table.insert)?;
    for (device, keys) in devices {
        for (key, value) in keys {
            insert.execute(params![owner, device, key, value])?;
        }
    }
    Ok(())
}

/// Reads a column that SQL gathered with `json_group_object` or `json_group_array`.
pub fn json_column<T: serde::de::DeserializeOwned>(
    row: &Row<'_>,
    column: &str,
) -> rusqlite::Result<T> {
    let index = row.as_ref().column_index(column)?;
    let text = row.get_ref(index)?.as_str()?;
    serde_json::from_str(text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(
            index,
            rusqlite::types::Type::Text,
            Box::new(error),
        )
    })
}

/// Turns rows of (device, key, value) into devices.
pub fn gather_devices(rows: Vec<(String, String, String)>) -> Devices {
    rows.into_iter()
        .fold(Devices::new(), |mut devices, (device, key, value)| {
            devices.entry(device).or_default().insert(key, value);
            devices
        })
}

/// Renders a value for a JSON column.
pub fn to_json<T: serde::Serialize>(what: &'static str, value: &T) -> Result<String, DbError> {
    serde_json::to_string(value).map_err(|source| DbError::Row { what, source })
}
