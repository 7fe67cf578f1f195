//! Snapshots of instances. They are read together with their instance; see [`super::instances`].

use rusqlite::{Transaction, params};

use super::{DbError, keys};
use crate::model::Snapshot;

/// Adds a snapshot and returns its id.
pub fn insert(tx: &Transaction<'_>, instance: i64, snapshot: &Snapshot) -> Result<i64, DbError> {
    insert_as(tx, None, instance, snapshot)
}

/// The same under an id that is on disk already.
pub fn insert_as(
    tx: &Transaction<'_>,
    id: Option<i64>,
    instance: i64,
    snapshot: &Snapshot,
) -> Result<i64, DbError> {
    tx.execute(
        "INSERT INTO snapshots (id, instance_id, name, description, ephemeral, created_at, expires_at, config, devices, profiles)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            id,
            instance,
            snapshot.name,
            snapshot.description,
            snapshot.ephemeral,
            snapshot.created_at,
            snapshot.expires_at,
            keys::to_json("a snapshot's config", &snapshot.config)?,
            keys::to_json("a snapshot's devices", &snapshot.devices)?,
            keys::to_json("a snapshot's profiles", &snapshot.profiles)?,
        ],
    )?;
    Ok(tx.last_insert_rowid())
}

/// Renames.
pub fn rename(tx: &Transaction<'_>, id: i64, name: &str) -> Result<(), DbError> {
    tx.execute(
        "UPDATE snapshots SET name = ?2 WHERE id = ?1",
        params![id, name],
    )?;
    Ok(())
}

/// Replaces what a user may write.
pub fn update(
    tx: &Transaction<'_>,
    id: i64,
    description: &str,
    expires_at: Option<&str>,
) -> Result<(), DbError> {
    tx.execute(
        "UPDATE snapshots SET description = ?2, expires_at = ?3 WHERE id = ?1",
        params![id, description, expires_at],
    )?;
    Ok(())
}

/// Removes one.
pub fn delete(tx: &Transaction<'_>, id: i64) -> Result<(), DbError> {
    tx.execute("DELETE FROM snapshots WHERE id = ?1", [id])?;
    Ok(())
}

/// Removes all of an instance.
pub fn delete_all(tx: &Transaction<'_>, instance: i64) -> Result<(), DbError> {
    tx.prepare_cached("DELETE FROM snapshots WHERE instance_id = ?1")?
        .execute([instance])?;
    Ok(())
}
