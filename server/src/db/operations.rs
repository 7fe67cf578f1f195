//! Operations outlive their end and the daemon, so that what happened can be asked later.

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::{DbError, keys};

/// An operation as it is kept.
#[derive(Debug, Clone)]
pub struct OperationRecord {
    /// UUID.
    pub id: String,
    /// Project of what it is about.
    pub project: String,
    /// `task`, `websocket` or `token`.
    pub class: String,
    /// What it does, for people.
    pub description: String,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
    /// LXD's status code; final from 200 on.
    pub status_code: u16,
    /// URLs by plural kind.
    pub resources: serde_json::Value,
    /// Progress and results.
    pub metadata: Option<serde_json::Value>,
    /// Why it failed.
    pub error: String,
    /// Who asked for it.
    pub requestor: String,
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<OperationRecord> {
    let metadata: Option<String> = row.get("metadata")?;
    Ok(OperationRecord {
        id: row.get("id")?,
        project: row.get("project")?,
        class: row.get("class")?,
        description: row.get("description")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
        status_code: row.get("status_code")?,
        resources: keys::json_column(row, "resources")?,
        metadata: metadata.and_then(|text| serde_json::from_str(&text).ok()),
        error: row.get("error")?,
        requestor: row.get("requestor")?,
    })
}

/// Writes an operation, new or changed.
pub fn upsert(tx: &Transaction<'_>, record: &OperationRecord) -> Result<(), DbError> {
    let resources = keys::to_json("an operation's resources", &record.resources)?;
    let metadata = record
        .metadata
        .as_ref()
        .map(|value| keys::to_json("an operation's metadata", value))
        .transpose()?;
    tx.prepare_cached(
        "INSERT INTO operations (id, project, class, description, created_at, updated_at, status_code, resources, metadata, error, requestor)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
         ON CONFLICT (id) DO UPDATE SET updated_at = ?6, status_code = ?7, resources = ?8, metadata = ?9, error = ?10",
    )?
    .execute(params![
        record.id,
        record.project,
        record.class,
        record.description,
        record.created_at,
        record.updated_at,
        record.status_code,
        resources,
        metadata,
        record.error,
        record.requestor,
    ])?;
    Ok(())
}

/// One operation.
pub fn find(tx: &Transaction<'_>, id: &str) -> Result<Option<OperationRecord>, DbError> {
    let mut statement = tx.prepare_cached("SELECT * FROM operations WHERE id = ?1")?;
    Ok(statement.query_row([id], from_row).optional()?)
}

/// The newest operations first, at most `limit`.
pub fn list(tx: &Transaction<'_>, limit: i64) -> Result<Vec<OperationRecord>, DbError> {
    let mut statement =
        tx.prepare_cached("SELECT * FROM operations ORDER BY updated_at DESC LIMIT ?1")?;
    let rows = statement.query_map([limit], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Marks as failed what was running when the daemon ended; returns how many.
pub fn fail_unfinished(tx: &Transaction<'_>, now: &str) -> Result<usize, DbError> {
    let count = tx.execute(
        "UPDATE operations SET status_code = 400, error = 'the daemon was restarted', updated_at = ?1 WHERE status_code < 200",
        [now],
    )?;
    Ok(count)
}

/// Drops what ended before `before`; returns how many.
pub fn prune(tx: &Transaction<'_>, before: &str) -> Result<usize, DbError> {
    Ok(tx.execute(
        "DELETE FROM operations WHERE status_code >= 200 AND updated_at < ?1",
        [before],
    )?)
}
