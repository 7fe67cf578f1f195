//! Access control lists and forwards.

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::{DbError, keys};
use crate::model::{NetworkAcl, NetworkForward};

const ACLS: &str =
    "SELECT a.id, p.name AS project, a.name, a.description, a.ingress, a.egress, a.config
    FROM network_acls a JOIN projects p ON p.id = a.project_id";
const FORWARDS: &str =
    "SELECT id, network_id, listen_address, description, config, ports FROM network_forwards";

fn acl(row: &Row<'_>) -> rusqlite::Result<NetworkAcl> {
    Ok(NetworkAcl {
        id: row.get("id")?,
        project: row.get("project")?,
        name: row.get("name")?,
        description: row.get("description")?,
        ingress: keys::json_column(row, "ingress")?,
        egress: keys::json_column(row, "egress")?,
        config: keys::json_column(row, "config")?,
    })
}

fn forward(row: &Row<'_>) -> rusqlite::Result<NetworkForward> {
    Ok(NetworkForward {
        id: row.get("id")?,
        network: row.get("network_id")?,
        listen_address: row.get("listen_address")?,
        description: row.get("description")?,
        config: keys::json_column(row, "config")?,
        ports: keys::json_column(row, "ports")?,
    })
}

/// All ACLs of a project, or of all projects, by project and name.
pub fn list_acls(tx: &Transaction<'_>, project: Option<i64>) -> Result<Vec<NetworkAcl>, DbError> {
    let mut statement = tx.prepare_cached(&format!(
        "{ACLS} WHERE ?1 IS NULL OR a.project_id = ?1 ORDER BY p.name, a.name"
    ))?;
    let rows = statement.query_map([project], acl)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// One ACL.
pub fn find_acl(
    tx: &Transaction<'_>,
    project: i64,
    name: &str,
) -> Result<Option<NetworkAcl>, DbError> {
    let mut statement =
        tx.prepare_cached(&format!("{ACLS} WHERE a.project_id = ?1 AND a.name = ?2"))?;
    let found = statement.query_row(params![project, name], acl);
    Ok(found.optional()?)
}

/// Adds an ACL.
pub fn insert_acl(tx: &Transaction<'_>, project: i64, acl: &NetworkAcl) -> Result<(), DbError> {
    tx.execute(
        "INSERT INTO network_acls (project_id, name, description, ingress, egress, config) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            project,
            acl.name,
            acl.description,
            keys::to_json("rules", &acl.ingress)?,
            keys::to_json("rules", &acl.egress)?,
            keys::to_json("keys", &acl.config)?,
        ],
    )?;
    Ok(())
}

/// Replaces name and all that a user may write.
pub fn update_acl(tx: &Transaction<'_>, acl: &NetworkAcl) -> Result<(), DbError> {
    tx.execute(
        "UPDATE network_acls SET name = ?2, description = ?3, ingress = ?4, egress = ?5, config = ?6 WHERE id = ?1",
        params![
            acl.id,
            acl.name,
            acl.description,
            keys::to_json("rules", &acl.ingress)?,
            keys::to_json("rules", &acl.egress)?,
            keys::to_json("keys", &acl.config)?,
        ],
    )?;
    Ok(())
}

/// Removes an ACL.
pub fn delete_acl(tx: &Transaction<'_>, id: i64) -> Result<(), DbError> {
    tx.execute("DELETE FROM network_acls WHERE id = ?1", [id])?;
    Ok(())
}

/// All forwards of a network, or of all networks, by address.
pub fn list_forwards(
    tx: &Transaction<'_>,
    network: Option<i64>,
) -> Result<Vec<NetworkForward>, DbError> {
    let mut statement = tx.prepare_cached(&format!(
        "{FORWARDS} WHERE ?1 IS NULL OR network_id = ?1 ORDER BY listen_address"
    ))?;
    let rows = statement.query_map([network], forward)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds a forward.
pub fn insert_forward(tx: &Transaction<'_>, forward: &NetworkForward) -> Result<(), DbError> {
    tx.execute(
        "INSERT INTO network_forwards (network_id, listen_address, description, config, ports) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            forward.network,
            forward.listen_address,
            forward.description,
            keys::to_json("keys", &forward.config)?,
            keys::to_json("ports", &forward.ports)?,
        ],
    )?;
    Ok(())
}

/// Replaces all that a user may write.
pub fn update_forward(tx: &Transaction<'_>, forward: &NetworkForward) -> Result<(), DbError> {
    tx.execute(
        "UPDATE network_forwards SET description = ?2, config = ?3, ports = ?4 WHERE id = ?1",
        params![
            forward.id,
            forward.description,
            keys::to_json("keys", &forward.config)?,
            keys::to_json("ports", &forward.ports)?,
        ],
    )?;
    Ok(())
}

/// Removes a forward.
pub fn delete_forward(tx: &Transaction<'_>, id: i64) -> Result<(), DbError> {
    tx.execute("DELETE FROM network_forwards WHERE id = ?1", [id])?;
    Ok(())
}
