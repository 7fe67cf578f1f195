//! Warnings: what the reconciler found and could not mend.

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::DbError;

/// A warning.
#[derive(Debug, Clone)]
pub struct Warning {
    /// UUID.
    pub uuid: String,
    /// Project.
    pub project: String,
    /// Kind, in words.
    pub kind: String,
    /// `low`, `moderate` or `high`.
    pub severity: String,
    /// `new`, `acknowledged` or `resolved`.
    pub status: String,
    /// What it is about.
    pub entity_url: String,
    /// The last message.
    pub message: String,
    /// How often it was seen.
    pub count: i64,
    /// RFC 3339.
    pub first_seen_at: String,
    /// RFC 3339.
    pub last_seen_at: String,
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Warning> {
    Ok(Warning {
        uuid: row.get("uuid")?,
        project: row.get("project")?,
        kind: row.get("type")?,
        severity: row.get("severity")?,
        status: row.get("status")?,
        entity_url: row.get("entity_url")?,
        message: row.get("message")?,
        count: row.get("count")?,
        first_seen_at: row.get("first_seen_at")?,
        last_seen_at: row.get("last_seen_at")?,
    })
}

/// Records a warning, or counts it again.
pub fn raise(tx: &Transaction<'_>, warning: &Warning) -> Result<(), DbError> {
    tx.execute(
        "INSERT INTO warnings (uuid, project, type, severity, status, entity_url, message, first_seen_at, last_seen_at)
         VALUES (?1, ?2, ?3, ?4, 'new', ?5, ?6, ?7, ?7)
         ON CONFLICT (project, type, entity_url) DO UPDATE SET message = ?6, last_seen_at = ?7, count = count + 1,
             status = iif(status = 'resolved', 'new', status)",
        params![warning.uuid, warning.project, warning.kind, warning.severity, warning.entity_url, warning.message, warning.last_seen_at],
    )?;
    Ok(())
}

/// Warnings of a project, or all, the newest first.
pub fn list(tx: &Transaction<'_>, project: Option<&str>) -> Result<Vec<Warning>, DbError> {
    let mut statement = tx.prepare_cached(
        "SELECT * FROM warnings WHERE ?1 IS NULL OR project = ?1 ORDER BY last_seen_at DESC",
    )?;
    let rows = statement.query_map([project], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// One warning.
pub fn find(tx: &Transaction<'_>, uuid: &str) -> Result<Option<Warning>, DbError> {
    let mut statement = tx.prepare_cached("SELECT * FROM warnings WHERE uuid = ?1")?;
    Ok(statement.query_row([uuid], from_row).optional()?)
}

/// Sets the status; tells whether there is such a warning.
pub fn set_status(tx: &Transaction<'_>, uuid: &str, status: &str) -> Result<bool, DbError> {
    Ok(tx.execute(
        "UPDATE warnings SET status = ?2 WHERE uuid = ?1",
        params![uuid, status],
    )? == 1)
}

/// Removes; tells whether there was such a warning.
pub fn delete(tx: &Transaction<'_>, uuid: &str) -> Result<bool, DbError> {
    Ok(tx.execute("DELETE FROM warnings WHERE uuid = ?1", [uuid])? == 1)
}

/// Removes all that is about something that is deleted.
pub fn forget(tx: &Transaction<'_>, entity_url: &str) -> Result<(), DbError> {
    tx.execute("DELETE FROM warnings WHERE entity_url = ?1", [entity_url])?;
    Ok(())
}

/// Marks as resolved what is about `entity_url` and of this kind.
pub fn resolve(tx: &Transaction<'_>, kind: &str, entity_url: &str) -> Result<(), DbError> {
    tx.execute(
        "UPDATE warnings SET status = 'resolved' WHERE type = ?1 AND entity_url = ?2 AND status <> 'resolved'",
        params![kind, entity_url],
    )?;
    Ok(())
}

/// Marks as resolved what is of this kind and about nothing in `present`.
pub fn resolve_except(tx: &Transaction<'_>, kind: &str, present: &[String]) -> Result<(), DbError> {
    let present = super::keys::to_json("a list of URLs", &present)?;
    tx.execute(
        "UPDATE warnings SET status = 'resolved' WHERE type = ?1 AND status <> 'resolved'
         AND entity_url NOT IN (SELECT value FROM json_each(?2))",
        params![kind, present],
    )?;
    Ok(())
}
