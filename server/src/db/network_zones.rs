//! DNS zones and their records.

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::{DbError, keys};
use crate::model::{NetworkZone, NetworkZoneRecord};

const ZONES: &str = "SELECT z.id, p.name AS project, z.name, z.description, z.config
    FROM network_zones z JOIN projects p ON p.id = z.project_id";
const RECORDS: &str =
    "SELECT id, zone_id, name, description, config, entries FROM network_zone_records";

fn zone(row: &Row<'_>) -> rusqlite::Result<NetworkZone> {
    Ok(NetworkZone {
        id: row.get("id")?,
        project: row.get("project")?,
        name: row.get("name")?,
        description: row.get("description")?,
        config: keys::json_column(row, "config")?,
    })
}

fn record(row: &Row<'_>) -> rusqlite::Result<NetworkZoneRecord> {
    Ok(NetworkZoneRecord {
        id: row.get("id")?,
        zone: row.get("zone_id")?,
        name: row.get("name")?,
        description: row.get("description")?,
        config: keys::json_column(row, "config")?,
        entries: keys::json_column(row, "entries")?,
    })
}

/// The zones of a project, or of all, by name.
pub fn list(tx: &Transaction<'_>, project: Option<i64>) -> Result<Vec<NetworkZone>, DbError> {
    let mut statement = tx.prepare_cached(&format!(
        "{ZONES} WHERE ?1 IS NULL OR z.project_id = ?1 ORDER BY p.name, z.name"
    ))?;
    let rows = statement.query_map([project], zone)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// One zone, of whatever project.
pub fn find(tx: &Transaction<'_>, name: &str) -> Result<Option<NetworkZone>, DbError> {
    let mut statement = tx.prepare_cached(&format!("{ZONES} WHERE z.name = ?1"))?;
    Ok(statement.query_row([name], zone).optional()?)
}

/// Adds a zone.
pub fn insert(tx: &Transaction<'_>, project: i64, zone: &NetworkZone) -> Result<(), DbError> {
    tx.execute(
        "INSERT INTO network_zones (project_id, name, description, config) VALUES (?1, ?2, ?3, ?4)",
        params![
            project,
            zone.name,
            zone.description,
            keys::to_json("keys", &zone.config)?
        ],
    )?;
    Ok(())
}

/// Replaces what a user may write.
pub fn update(tx: &Transaction<'_>, zone: &NetworkZone) -> Result<(), DbError> {
    tx.execute(
        "UPDATE network_zones SET description = ?2, config = ?3 WHERE id = ?1",
        params![
            zone.id,
            zone.description,
            keys::to_json("keys", &zone.config)?
        ],
    )?;
    Ok(())
}

/// Removes a zone with its records.
pub fn delete(tx: &Transaction<'_>, id: i64) -> Result<(), DbError> {
    tx.execute("DELETE FROM network_zones WHERE id = ?1", [id])?;
    Ok(())
}

/// The records of a zone, by name.
pub fn list_records(tx: &Transaction<'_>, zone: i64) -> Result<Vec<NetworkZoneRecord>, DbError> {
    let mut statement =
        tx.prepare_cached(&format!("{RECORDS} WHERE zone_id = ?1 ORDER BY name"))?;
    let rows = statement.query_map([zone], record)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds a record.
pub fn insert_record(tx: &Transaction<'_>, record: &NetworkZoneRecord) -> Result<(), DbError> {
    tx.execute(
        "INSERT INTO network_zone_records (zone_id, name, description, config, entries) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            record.zone,
            record.name,
            record.description,
            keys::to_json("keys", &record.config)?,
            keys::to_json("entries", &record.entries)?,
        ],
    )?;
    Ok(())
}

/// Replaces all that a user may write.
pub fn update_record(tx: &Transaction<'_>, record: &NetworkZoneRecord) -> Result<(), DbError> {
    tx.execute(
        "UPDATE network_zone_records SET description = ?2, config = ?3, entries = ?4 WHERE id = ?1",
        params![
            record.id,
            record.description,
            keys::to_json("keys", &record.config)?,
            keys::to_json("entries", &record.entries)?,
        ],
    )?;
    Ok(())
}

/// Removes a record.
pub fn delete_record(tx: &Transaction<'_>, id: i64) -> Result<(), DbError> {
    tx.execute("DELETE FROM network_zone_records WHERE id = ?1", [id])?;
    Ok(())
}
