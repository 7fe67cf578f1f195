//! Managed networks.

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::{DbError, keys};
use crate::model::Network;

const SELECT: &str = "SELECT n.id, p.name AS project, n.name, n.type, n.description,
    (SELECT json_group_object(key, value) FROM network_config WHERE network_id = n.id) AS config
    FROM networks n JOIN projects p ON p.id = n.project_id";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Network> {
    Ok(Network {
        id: row.get("id")?,
        project: row.get("project")?,
        name: row.get("name")?,
        kind: row.get("type")?,
        description: row.get("description")?,
        config: keys::json_column(row, "config")?,
    })
}

/// All networks of all projects, by name: their bridges are the host's, so no two have the same.
pub fn list(tx: &Transaction<'_>) -> Result<Vec<Network>, DbError> {
    let mut statement = tx.prepare_cached(&format!("{SELECT} ORDER BY n.name"))?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// One network.
pub fn find(tx: &Transaction<'_>, name: &str) -> Result<Option<Network>, DbError> {
    let mut statement = tx.prepare_cached(&format!("{SELECT} WHERE n.name = ?1"))?;
    Ok(statement.query_row([name], from_row).optional()?)
}

/// Adds a network and returns its id.
pub fn insert(tx: &Transaction<'_>, network: &Network) -> Result<i64, DbError> {
    tx.execute(
        "INSERT INTO networks (project_id, name, type, description)
         SELECT id, ?2, ?3, ?4 FROM projects WHERE name = ?1",
        params![
            network.project,
            network.name,
            network.kind,
            network.description
        ],
    )?;
    let id = tx.last_insert_rowid();
    keys::replace(tx, keys::NETWORK_CONFIG, id, &network.config)?;
    Ok(id)
}

/// Replaces what a user may write.
pub fn update(tx: &Transaction<'_>, network: &Network) -> Result<(), DbError> {
    tx.execute(
        "UPDATE networks SET description = ?2 WHERE id = ?1",
        params![network.id, network.description],
    )?;
    keys::replace(tx, keys::NETWORK_CONFIG, network.id, &network.config)
}

/// Renames.
pub fn rename(tx: &Transaction<'_>, id: i64, name: &str) -> Result<(), DbError> {
    tx.execute(
        "UPDATE networks SET name = ?2 WHERE id = ?1",
        params![id, name],
    )?;
    Ok(())
}

/// Removes.
pub fn delete(tx: &Transaction<'_>, id: i64) -> Result<(), DbError> {
    tx.execute("DELETE FROM networks WHERE id = ?1", [id])?;
    Ok(())
}
