//! Backups of instances.

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::DbError;
use crate::model::Backup;

fn from_row(row: &Row<'_>) -> rusqlite::Result<Backup> {
    Ok(Backup {
        id: row.get("id")?,
        instance: row.get("instance_id")?,
        name: row.get("name")?,
        created_at: row.get("created_at")?,
        expires_at: row.get("expires_at")?,
        instance_only: row.get("instance_only")?,
    })
}

/// All backups of an instance, the oldest first.
pub fn list(tx: &Transaction<'_>, instance: i64) -> Result<Vec<Backup>, DbError> {
    let mut statement =
        tx.prepare_cached("SELECT * FROM backups WHERE instance_id = ?1 ORDER BY id")?;
    let rows = statement.query_map([instance], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// One backup by name.
pub fn find(tx: &Transaction<'_>, instance: i64, name: &str) -> Result<Option<Backup>, DbError> {
    let mut statement =
        tx.prepare_cached("SELECT * FROM backups WHERE instance_id = ?1 AND name = ?2")?;
    Ok(statement
        .query_row(params![instance, name], from_row)
        .optional()?)
}

/// Those whose time is over.
pub fn expired(tx: &Transaction<'_>, now: &str) -> Result<Vec<Backup>, DbError> {
    let mut statement = tx.prepare_cached("SELECT * FROM backups WHERE expires_at <= ?1")?;
    let rows = statement.query_map([now], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds a backup and returns its id.
pub fn insert(tx: &Transaction<'_>, backup: &Backup) -> Result<i64, DbError> {
    tx.execute(
        "INSERT INTO backups (instance_id, name, created_at, expires_at, instance_only) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            backup.instance,
            backup.name,
            backup.created_at,
            backup.expires_at,
            backup.instance_only
        ],
    )?;
    Ok(tx.last_insert_rowid())
}

/// Renames.
pub fn rename(tx: &Transaction<'_>, id: i64, name: &str) -> Result<(), DbError> {
    tx.execute(
        "UPDATE backups SET name = ?2 WHERE id = ?1",
        params![id, name],
    )?;
    Ok(())
}

/// Removes one.
pub fn delete(tx: &Transaction<'_>, id: i64) -> Result<(), DbError> {
    tx.execute("DELETE FROM backups WHERE id = ?1", [id])?;
    Ok(())
}
