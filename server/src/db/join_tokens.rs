//! Join tokens: each lets one client in, once.

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::{DbError, keys};
use crate::trust::{JoinToken, Kind};

fn from_row(row: &Row<'_>) -> rusqlite::Result<JoinToken> {
    let kind: String = row.get("type")?;
    Ok(JoinToken {
        operation: row.get("operation")?,
        secret: row.get("secret")?,
        name: row.get("name")?,
        kind: Kind::parse(&kind).unwrap_or(Kind::Metrics),
        restricted: row.get("restricted")?,
        projects: keys::json_column(row, "projects")?,
        created_at: row.get("created_at")?,
        expires_at: row.get("expires_at")?,
    })
}

/// All that are neither used nor taken back.
pub fn list(tx: &Transaction<'_>) -> Result<Vec<JoinToken>, DbError> {
    let mut statement = tx.prepare_cached("SELECT * FROM join_tokens ORDER BY created_at")?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds one.
pub fn insert(tx: &Transaction<'_>, token: &JoinToken) -> Result<(), DbError> {
    tx.execute(
        "INSERT INTO join_tokens (operation, secret, name, type, restricted, projects, created_at, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            token.operation,
            token.secret,
            token.name,
            token.kind.text(),
            token.restricted,
            keys::to_json("a token's projects", &token.projects)?,
            token.created_at,
            token.expires_at,
        ],
    )?;
    Ok(())
}

/// Uses the token with this secret up: whoever gets it is the only one. One whose time is over is not there.
pub fn take(tx: &Transaction<'_>, secret: &str, now: &str) -> Result<Option<JoinToken>, DbError> {
    let token = tx
        .prepare_cached(
            "DELETE FROM join_tokens WHERE secret = ?1 AND (expires_at IS NULL OR expires_at > ?2) RETURNING *",
        )?
        .query_row([secret, now], from_row)
        .optional()?;
    Ok(token)
}

/// Takes a token back.
pub fn delete(tx: &Transaction<'_>, operation: &str) -> Result<(), DbError> {
    tx.execute("DELETE FROM join_tokens WHERE operation = ?1", [operation])?;
    Ok(())
}
