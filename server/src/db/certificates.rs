//! Trusted certificates.

use std::collections::BTreeSet;

use rusqlite::{Row, Transaction, params};

use super::{DbError, keys};
use crate::trust::{Kind, Trusted};

fn from_row(row: &Row<'_>) -> rusqlite::Result<Trusted> {
    let kind: String = row.get("type")?;
    let projects: BTreeSet<String> = keys::json_column(row, "projects")?;
    Ok(Trusted {
        fingerprint: row.get("fingerprint")?,
        name: row.get("name")?,
        // Nothing else was ever written; what is unknown gets the least.
        kind: Kind::parse(&kind).unwrap_or(Kind::Metrics),
        restricted: row.get("restricted")?,
        projects,
        certificate: row.get("certificate")?,
        description: row.get("description")?,
    })
}

/// All of them, by name and fingerprint.
pub fn list(tx: &Transaction<'_>) -> Result<Vec<Trusted>, DbError> {
    let mut statement = tx.prepare_cached(
        "SELECT c.*, (SELECT json_group_array(p.name) FROM certificate_projects cp JOIN projects p ON p.id = cp.project_id
                      WHERE cp.certificate_id = c.id) AS projects
         FROM certificates c ORDER BY c.name, c.fingerprint",
    )?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds one.
pub fn insert(tx: &Transaction<'_>, trusted: &Trusted, now: &str) -> Result<(), DbError> {
    tx.execute(
        "INSERT INTO certificates (fingerprint, name, type, restricted, certificate, description, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            trusted.fingerprint,
            trusted.name,
            trusted.kind.text(),
            trusted.restricted,
            trusted.certificate,
            trusted.description,
            now,
        ],
    )?;
    set_projects(tx, tx.last_insert_rowid(), trusted)
}

/// Replaces the one that has `fingerprint`, which may become another; returns whether it was there.
pub fn update(tx: &Transaction<'_>, fingerprint: &str, new: &Trusted) -> Result<bool, DbError> {
    let count = tx.execute(
        "UPDATE certificates SET fingerprint = ?2, name = ?3, type = ?4, restricted = ?5, certificate = ?6, description = ?7
         WHERE fingerprint = ?1",
        params![
            fingerprint,
            new.fingerprint,
            new.name,
            new.kind.text(),
            new.restricted,
            new.certificate,
            new.description,
        ],
    )?;
    if count == 0 {
        return Ok(false);
    }
    let id = tx.query_row(
        "SELECT id FROM certificates WHERE fingerprint = ?1",
        [&new.fingerprint],
        |row| row.get(0),
    )?;
    set_projects(tx, id, new)?;
    Ok(true)
}

fn set_projects(tx: &Transaction<'_>, id: i64, trusted: &Trusted) -> Result<(), DbError> {
    tx.execute(
        "DELETE FROM certificate_projects WHERE certificate_id = ?1",
        [id],
    )?;
    for project in &trusted.projects {
        tx.execute(
            "INSERT INTO certificate_projects (certificate_id, project_id) SELECT ?1, id FROM projects WHERE name = ?2",
            params![id, project],
        )?;
    }
    Ok(())
}

/// Takes one away; returns whether it was there.
pub fn delete(tx: &Transaction<'_>, fingerprint: &str) -> Result<bool, DbError> {
    let count = tx.execute(
        "DELETE FROM certificates WHERE fingerprint = ?1",
        [fingerprint],
    )?;
    Ok(count > 0)
}
