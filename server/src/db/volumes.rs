//! Custom volumes and their snapshots, and who uses them.

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::{DbError, keys};
use crate::context::instance_url;
use crate::model::{Volume, VolumeSnapshot};

const SELECT: &str = "SELECT v.id, s.name AS pool, p.name AS project, v.name, v.description, v.created_at,
    (SELECT json_group_object(key, value) FROM storage_volume_config WHERE volume_id = v.id) AS config,
    (SELECT json_group_array(json_object('id', id, 'name', name, 'description', description, 'created_at', created_at,
        'expires_at', expires_at, 'config', json(config)))
        FROM (SELECT * FROM storage_volume_snapshots WHERE volume_id = v.id ORDER BY created_at, id)) AS snapshots
    FROM storage_volumes v JOIN storage_pools s ON s.id = v.pool_id JOIN projects p ON p.id = v.project_id";

/// The project whose volumes those of a project `p` are.
const VOLUME_PROJECT: &str = "iif(EXISTS (SELECT 1 FROM project_config WHERE project_id = p.id
    AND key = 'features.storage.volumes' AND value = 'true'), p.id, 1)";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Volume> {
    Ok(Volume {
        id: row.get("id")?,
        pool: row.get("pool")?,
        project: row.get("project")?,
        name: row.get("name")?,
        description: row.get("description")?,
        created_at: row.get("created_at")?,
        config: keys::json_column(row, "config")?,
        snapshots: keys::json_column(row, "snapshots")?,
    })
}

/// The project, id and name, whose volumes the project `name` has: itself or `default`.
pub fn project_of(tx: &Transaction<'_>, name: &str) -> Result<Option<(i64, String)>, DbError> {
    let sql = format!(
        "SELECT o.id, o.name FROM projects p JOIN projects o ON o.id = {VOLUME_PROJECT} WHERE p.name = ?1"
    );
    let found = tx
        .prepare_cached(&sql)?
        .query_row([name], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(found)
}

/// All volumes of a project, or of all; on a pool, or on all.
pub fn list(
    tx: &Transaction<'_>,
    project: Option<i64>,
    pool: Option<&str>,
) -> Result<Vec<Volume>, DbError> {
    let mut statement = tx.prepare_cached(&format!(
        "{SELECT} WHERE (?1 IS NULL OR v.project_id = ?1) AND (?2 IS NULL OR s.name = ?2) ORDER BY s.name, p.name, v.name"
    ))?;
    let rows = statement.query_map(params![project, pool], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// One volume by name.
pub fn find(
    tx: &Transaction<'_>,
    project: i64,
    pool: &str,
    name: &str,
) -> Result<Option<Volume>, DbError> {
    let mut statement = tx.prepare_cached(&format!(
        "{SELECT} WHERE v.project_id = ?1 AND s.name = ?2 AND v.name = ?3"
    ))?;
    Ok(statement
        .query_row(params![project, pool, name], from_row)
        .optional()?)
}

/// One volume by id.
pub fn find_by_id(tx: &Transaction<'_>, id: i64) -> Result<Option<Volume>, DbError> {
    let mut statement = tx.prepare_cached(&format!("{SELECT} WHERE v.id = ?1"))?;
    Ok(statement.query_row([id], from_row).optional()?)
}

/// Adds a volume without snapshots and returns its id.
pub fn insert(tx: &Transaction<'_>, project: i64, volume: &Volume) -> Result<i64, DbError> {
    insert_as(tx, None, project, volume)
}

/// The same under an id that is on disk already.
pub fn insert_as(
    tx: &Transaction<'_>,
    id: Option<i64>,
    project: i64,
    volume: &Volume,
) -> Result<i64, DbError> {
    tx.execute(
        "INSERT INTO storage_volumes (id, pool_id, project_id, name, description, created_at)
         VALUES (?1, (SELECT id FROM storage_pools WHERE name = ?2), ?3, ?4, ?5, ?6)",
        params![
            id,
            volume.pool,
            project,
            volume.name,
            volume.description,
            volume.created_at
        ],
    )?;
    let id = tx.last_insert_rowid();
    keys::replace(tx, keys::VOLUME_CONFIG, id, &volume.config)?;
    Ok(id)
}

/// Replaces what a user may write.
pub fn update(tx: &Transaction<'_>, volume: &Volume) -> Result<(), DbError> {
    tx.execute(
        "UPDATE storage_volumes SET description = ?2 WHERE id = ?1",
        params![volume.id, volume.description],
    )?;
    keys::replace(tx, keys::VOLUME_CONFIG, volume.id, &volume.config)
}

/// Renames.
pub fn rename(tx: &Transaction<'_>, id: i64, name: &str) -> Result<(), DbError> {
    tx.execute(
        "UPDATE storage_volumes SET name = ?2 WHERE id = ?1",
        params![id, name],
    )?;
    Ok(())
}

/// Removes a volume with its snapshots.
pub fn delete(tx: &Transaction<'_>, id: i64) -> Result<(), DbError> {
    tx.execute("DELETE FROM storage_volumes WHERE id = ?1", [id])?;
    Ok(())
}

/// Adds a snapshot and returns its id.
pub fn insert_snapshot(
    tx: &Transaction<'_>,
    volume: i64,
    snapshot: &VolumeSnapshot,
) -> Result<i64, DbError> {
    insert_snapshot_as(tx, None, volume, snapshot)
}

/// The same under an id that is on disk already.
pub fn insert_snapshot_as(
    tx: &Transaction<'_>,
    id: Option<i64>,
    volume: i64,
    snapshot: &VolumeSnapshot,
) -> Result<i64, DbError> {
    tx.execute(
        "INSERT INTO storage_volume_snapshots (id, volume_id, name, description, created_at, expires_at, config)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            id,
            volume,
            snapshot.name,
            snapshot.description,
            snapshot.created_at,
            snapshot.expires_at,
            keys::to_json("a snapshot's config", &snapshot.config)?,
        ],
    )?;
    Ok(tx.last_insert_rowid())
}

/// Renames a snapshot.
pub fn rename_snapshot(tx: &Transaction<'_>, id: i64, name: &str) -> Result<(), DbError> {
    tx.execute(
        "UPDATE storage_volume_snapshots SET name = ?2 WHERE id = ?1",
        params![id, name],
    )?;
    Ok(())
}

/// Replaces what a user may write of a snapshot.
pub fn update_snapshot(
    tx: &Transaction<'_>,
    id: i64,
    description: &str,
    expires_at: Option<&str>,
) -> Result<(), DbError> {
    tx.execute(
        "UPDATE storage_volume_snapshots SET description = ?2, expires_at = ?3 WHERE id = ?1",
        params![id, description, expires_at],
    )?;
    Ok(())
}

/// Removes a snapshot.
pub fn delete_snapshot(tx: &Transaction<'_>, id: i64) -> Result<(), DbError> {
    tx.execute("DELETE FROM storage_volume_snapshots WHERE id = ?1", [id])?;
    Ok(())
}

/// Ids of the instances that have a device of the volume, of their own or by a profile.
pub fn instances_with(
    tx: &Transaction<'_>,
    project: i64,
    volume: &Volume,
) -> Result<Vec<i64>, DbError> {
    let mut statement = tx.prepare_cached(&format!(
        "SELECT i.id FROM instances i JOIN projects p ON p.id = i.project_id WHERE {VOLUME_PROJECT} = ?1 AND (
            EXISTS (SELECT 1 FROM instance_devices a JOIN instance_devices b USING (instance_id, device)
                WHERE a.instance_id = i.id AND a.key = 'pool' AND a.value = ?2 AND b.key = 'source' AND b.value = ?3)
            OR EXISTS (SELECT 1 FROM instance_profiles ip
                JOIN profile_devices a ON a.profile_id = ip.profile_id JOIN profile_devices b USING (profile_id, device)
                WHERE ip.instance_id = i.id AND a.key = 'pool' AND a.value = ?2 AND b.key = 'source' AND b.value = ?3))"
    ))?;
    let rows = statement.query_map(params![project, volume.pool, volume.name], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// URLs of the instances and profiles that have a device of the volume.
pub fn users(tx: &Transaction<'_>, project: i64, volume: &Volume) -> Result<Vec<String>, DbError> {
    let mut urls = Vec::new();
    for id in instances_with(tx, project, volume)? {
        let (owner, name): (String, String) = tx
            .prepare_cached("SELECT p.name, i.name FROM instances i JOIN projects p ON p.id = i.project_id WHERE i.id = ?1")?
            .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        urls.push(instance_url(&owner, &name));
    }
    let mut statement = tx.prepare_cached(&format!(
        "SELECT p.name, f.name FROM profiles f JOIN projects p ON p.id = f.project_id
         WHERE {VOLUME_PROJECT} = ?1 AND EXISTS (SELECT 1 FROM profile_devices a JOIN profile_devices b USING (profile_id, device)
            WHERE a.profile_id = f.id AND a.key = 'pool' AND a.value = ?2 AND b.key = 'source' AND b.value = ?3)"
    ))?;
    let rows = statement.query_map(params![project, volume.pool, volume.name], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
    })?;
    for row in rows {
        let (owner, name) = row?;
        urls.push(if owner == "default" {
            format!("/1.0/profiles/{name}")
        } else {
            format!("/1.0/profiles/{name}?project={owner}")
        });
    }
    urls.sort();
    Ok(urls)
}

/// Lets all devices of a volume point to where it is now: another name, another pool.
pub fn redirect_users(
    tx: &Transaction<'_>,
    project: i64,
    old: &Volume,
    new: (&str, &str),
) -> Result<(), DbError> {
    let (pool, name) = new;
    for (table, owner, owners) in [
        ("instance_devices", "instance_id", "instances"),
        ("profile_devices", "profile_id", "profiles"),
    ] {
        // The pool last: it is what the device is found by.
        for (key, value, other, known) in [
            ("source", name, "pool", &old.pool),
            ("pool", pool, "source", &name.to_owned()),
        ] {
            let mine = format!(
                "{owner} IN (SELECT o.id FROM {owners} o JOIN projects p ON p.id = o.project_id WHERE {VOLUME_PROJECT} = ?5)"
            );
            let sql = format!(
                "UPDATE {table} SET value = ?1 WHERE key = '{key}' AND value = ?2 AND {mine}
                 AND EXISTS (SELECT 1 FROM {table} b WHERE b.{owner} = {table}.{owner} AND b.device = {table}.device
                    AND b.key = ?3 AND b.value = ?4)"
            );
            let before = if key == "source" {
                &old.name
            } else {
                &old.pool
            };
            tx.execute(&sql, params![value, before, other, known, project])?;
        }
    }
    Ok(())
}
