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

/// Operations, the oldest first; if there are more than `limit`, the newest of them.
pub fn list(tx: &Transaction<'_>, limit: i64) -> Result<Vec<OperationRecord>, DbError> {
    let mut statement = tx.prepare_cached(
        "SELECT * FROM (SELECT * FROM operations ORDER BY created_at DESC LIMIT ?1) ORDER BY created_at",
    )?;
    let rows = statement.query_map([limit], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The same, of those that touched what has the URL `path`, or something beneath it. An operation that renamed an instance names
/// its old URL and then its new one: what was done under earlier names belongs to it.
pub fn list_touching(
    tx: &Transaction<'_>,
    path: &str,
    limit: i64,
) -> Result<Vec<OperationRecord>, DbError> {
    let mut statement = tx.prepare_cached(
        "WITH RECURSIVE
           touched (id, renames, at, url, place) AS MATERIALIZED (
             SELECT o.id, o.description = 'Renaming instance', o.created_at, one.value, one.key
             FROM operations o, json_each(o.resources) kind, json_each(kind.value) one),
           names (url, until) AS (
             VALUES (?1, '9999')
             UNION
             SELECT earlier.url, now.at
             FROM names
             JOIN touched now ON now.url = names.url AND now.renames AND now.place = 1 AND now.at < names.until
             JOIN touched earlier ON earlier.id = now.id AND earlier.place = 0 AND earlier.url LIKE '/1.0/instances/%')
         SELECT * FROM (
           SELECT * FROM operations WHERE id IN (
             SELECT touched.id FROM touched JOIN names
             ON (touched.url = names.url OR substr(touched.url, 1, length(names.url) + 1) = names.url || '/')
               AND touched.at <= names.until)
           ORDER BY created_at DESC LIMIT ?2)
         ORDER BY created_at",
    )?;
    let rows = statement.query_map(params![path, limit], from_row)?;
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

/// Drops what ended before `before`, and of the rest all but the newest `most`; returns how many.
pub fn prune(tx: &Transaction<'_>, before: &str, most: i64) -> Result<usize, DbError> {
    Ok(tx.execute(
        "DELETE FROM operations WHERE status_code >= 200 AND (updated_at < ?1 OR updated_at <=
           (SELECT updated_at FROM operations ORDER BY updated_at DESC LIMIT 1 OFFSET ?2))",
        params![before, most],
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::Db;

    fn record(number: u32, description: &str, urls: &[&str]) -> OperationRecord {
        let at = format!("2026-01-01T00:00:{number:02}.000000Z");
        OperationRecord {
            id: format!("op{number}"),
            project: "default".to_owned(),
            class: "task".to_owned(),
            description: description.to_owned(),
            created_at: at.clone(),
            updated_at: at,
            status_code: 200,
            resources: serde_json::json!({ "instances": urls }),
            metadata: None,
            error: String::new(),
            requestor: String::new(),
        }
    }

    async fn with(records: Vec<OperationRecord>) -> Db {
        let db = Db::in_memory().unwrap();
        let written = db.write(move |tx| records.iter().try_for_each(|record| upsert(tx, record)));
        written.await.unwrap();
        db
    }

    async fn history(db: &Db, name: &str) -> Vec<String> {
        let path = format!("/1.0/instances/{name}");
        let rows = db
            .read(move |tx| list_touching(tx, &path, 100))
            .await
            .unwrap();
        rows.into_iter().map(|row| row.id).collect()
    }

    #[tokio::test]
    async fn history_follows_names_back_and_not_forth() {
        let (a, b) = ("/1.0/instances/a", "/1.0/instances/b");
        let db = with(vec![
            record(1, "Creating instance", &[a]),
            record(2, "Creating snapshot", &["/1.0/instances/a/snapshots/s0"]),
            record(3, "Starting instance", &["/1.0/instances/ab"]),
            record(4, "Renaming instance", &[a, b]),
            record(5, "Starting instance", &[b]),
            // Another one that took the name that became free.
            record(6, "Creating instance", &[a]),
        ])
        .await;
        assert_eq!(history(&db, "b").await, ["op1", "op2", "op4", "op5"]);
        assert_eq!(history(&db, "a").await, ["op1", "op2", "op4", "op6"]);
        assert_eq!(history(&db, "nobody").await, Vec::<String>::new());
    }

    #[tokio::test]
    async fn what_is_old_or_too_much_is_forgotten() {
        let all = (1..=9).map(|number| record(number, "x", &[])).collect();
        let db = with(all).await;
        let prune = |before: &'static str, most| db.write(move |tx| prune(tx, before, most));
        assert_eq!(prune("2026-01-01T00:00:03", 100).await.unwrap(), 2);
        assert_eq!(prune("2025", 4).await.unwrap(), 3);
        let left = db.read(|tx| list(tx, 100)).await.unwrap();
        assert_eq!(left.len(), 4);
        assert_eq!(left[0].id, "op6");
    }
}
