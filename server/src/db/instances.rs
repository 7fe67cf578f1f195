//! Instances, with all that belongs to them, in one query.

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::{DbError, keys, projects, snapshots};
use crate::model::Instance;
use crate::plan::idmap::Span;
use crate::plan::project::Feature;

const SELECT: &str = "SELECT i.id, p.name AS project, i.name, i.architecture, i.description, i.ephemeral, s.name AS pool, i.idmap_base, i.idmap_size,
    i.created_at, i.last_used_at,
    (SELECT json_group_object(key, value) FROM instance_config WHERE instance_id = i.id) AS config,
    (SELECT json_group_array(json_array(device, key, value)) FROM instance_devices WHERE instance_id = i.id) AS devices,
    (SELECT json_group_array(name) FROM (SELECT f.name FROM instance_profiles ip JOIN profiles f ON f.id = ip.profile_id
        WHERE ip.instance_id = i.id ORDER BY ip.position)) AS profiles,
    (SELECT json_group_array(json_object('id', id, 'name', name, 'description', description, 'ephemeral', json(iif(ephemeral, 'true', 'false')),
        'created_at', created_at, 'expires_at', expires_at, 'config', json(config), 'devices', json(devices), 'profiles', json(profiles)))
        FROM (SELECT * FROM snapshots WHERE instance_id = i.id ORDER BY created_at, id)) AS snapshots
    FROM instances i JOIN projects p ON p.id = i.project_id JOIN storage_pools s ON s.id = i.pool_id";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Instance> {
    Ok(Instance {
        id: row.get("id")?,
        project: row.get("project")?,
        name: row.get("name")?,
        architecture: row.get("architecture")?,
        description: row.get("description")?,
        ephemeral: row.get("ephemeral")?,
        pool: row.get("pool")?,
        idmap_base: row.get("idmap_base")?,
        idmap_size: row.get("idmap_size")?,
        created_at: row.get("created_at")?,
        last_used_at: row.get("last_used_at")?,
        config: keys::json_column(row, "config")?,
        devices: keys::gather_devices(keys::json_column(row, "devices")?),
        profiles: keys::json_column(row, "profiles")?,
        snapshots: keys::json_column(row, "snapshots")?,
    })
}

/// All instances of a project, or of all projects, by name.
pub fn list(tx: &Transaction<'_>, project: Option<i64>) -> Result<Vec<Instance>, DbError> {
    let mut statement = tx.prepare_cached(&format!(
        "{SELECT} WHERE ?1 IS NULL OR i.project_id = ?1 ORDER BY p.name, i.name"
    ))?;
    let rows = statement.query_map([project], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// One instance by name.
pub fn find(tx: &Transaction<'_>, project: i64, name: &str) -> Result<Option<Instance>, DbError> {
    let mut statement =
        tx.prepare_cached(&format!("{SELECT} WHERE i.project_id = ?1 AND i.name = ?2"))?;
    Ok(statement
        .query_row(params![project, name], from_row)
        .optional()?)
}

/// One instance by id.
pub fn find_by_id(tx: &Transaction<'_>, id: i64) -> Result<Option<Instance>, DbError> {
    let mut statement = tx.prepare_cached(&format!("{SELECT} WHERE i.id = ?1"))?;
    Ok(statement.query_row([id], from_row).optional()?)
}

/// The id of an instance by name.
pub fn find_id(tx: &Transaction<'_>, project: i64, name: &str) -> Result<Option<i64>, DbError> {
    let mut statement =
        tx.prepare_cached("SELECT id FROM instances WHERE project_id = ?1 AND name = ?2")?;
    Ok(statement
        .query_row(params![project, name], |row| row.get(0))
        .optional()?)
}

/// Adds an instance and returns its id. Its profiles must be there.
pub fn insert(
    tx: &Transaction<'_>,
    project: i64,
    pool: i64,
    instance: &Instance,
) -> Result<i64, DbError> {
    insert_as(tx, None, (project, pool), instance)
}

/// The same under an id that is on disk already.
pub fn insert_as(
    tx: &Transaction<'_>,
    id: Option<i64>,
    (project, pool): (i64, i64),
    instance: &Instance,
) -> Result<i64, DbError> {
    tx.prepare_cached(
        "INSERT INTO instances (id, project_id, name, architecture, description, ephemeral, pool_id, idmap_base, idmap_size,
            created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        id,
        project,
        instance.name,
        instance.architecture,
        instance.description,
        instance.ephemeral,
        pool,
        instance.idmap_base,
        instance.idmap_size,
        instance.created_at,
    ])?;
    let id = tx.last_insert_rowid();
    replace_parts(tx, project, id, instance)?;
    Ok(id)
}

/// Replaces what a user may write: description, ephemeral, config, devices, profiles.
pub fn update(tx: &Transaction<'_>, project: i64, instance: &Instance) -> Result<(), DbError> {
    tx.execute(
        "UPDATE instances SET description = ?2, ephemeral = ?3, architecture = ?4 WHERE id = ?1",
        params![
            instance.id,
            instance.description,
            instance.ephemeral,
            instance.architecture
        ],
    )?;
    replace_parts(tx, project, instance.id, instance)
}

fn replace_parts(
    tx: &Transaction<'_>,
    project: i64,
    id: i64,
    instance: &Instance,
) -> Result<(), DbError> {
    let owner = projects::owner(tx, project, Feature::Profiles)?;
    keys::replace(tx, keys::INSTANCE_CONFIG, id, &instance.config)?;
    keys::replace_devices(tx, keys::INSTANCE_DEVICES, id, &instance.devices)?;
    tx.prepare_cached("DELETE FROM instance_profiles WHERE instance_id = ?1")?
        .execute([id])?;
    let mut insert = tx.prepare_cached(
        "INSERT INTO instance_profiles (instance_id, position, profile_id)
         SELECT ?1, ?2, id FROM profiles WHERE project_id = ?3 AND name = ?4",
    )?;
    for (position, profile) in (0_i64..).zip(&instance.profiles) {
        insert.execute(params![id, position, owner, profile])?;
    }
    Ok(())
}

/// Sets keys; an empty value removes.
pub fn set_keys(tx: &Transaction<'_>, id: i64, changes: &[(&str, String)]) -> Result<(), DbError> {
    for (key, value) in changes {
        if value.is_empty() {
            tx.prepare_cached("DELETE FROM instance_config WHERE instance_id = ?1 AND key = ?2")?
                .execute(params![id, key])?;
        } else {
            tx.prepare_cached(
                "INSERT INTO instance_config (instance_id, key, value) VALUES (?1, ?2, ?3)
                 ON CONFLICT (instance_id, key) DO UPDATE SET value = ?3",
            )?
            .execute(params![id, key, value])?;
        }
    }
    Ok(())
}

/// Records that it was started.
pub fn touch(tx: &Transaction<'_>, id: i64, now: &str) -> Result<(), DbError> {
    tx.prepare_cached("UPDATE instances SET last_used_at = ?2 WHERE id = ?1")?
        .execute(params![id, now])?;
    Ok(())
}

/// Renames.
pub fn rename(tx: &Transaction<'_>, id: i64, name: &str) -> Result<(), DbError> {
    tx.execute(
        "UPDATE instances SET name = ?2 WHERE id = ?1",
        params![id, name],
    )?;
    Ok(())
}

/// Gives it to another project, under a name there; its profiles are to be written after this.
pub fn relocate(tx: &Transaction<'_>, id: i64, project: i64, name: &str) -> Result<(), DbError> {
    tx.execute(
        "UPDATE instances SET project_id = ?2, name = ?3 WHERE id = ?1",
        params![id, project, name],
    )?;
    Ok(())
}

/// Notes that its root volume is on another pool.
pub fn set_pool(tx: &Transaction<'_>, id: i64, pool: i64) -> Result<(), DbError> {
    tx.execute(
        "UPDATE instances SET pool_id = ?2 WHERE id = ?1",
        params![id, pool],
    )?;
    Ok(())
}

/// Removes, with its snapshots' rows.
pub fn delete(tx: &Transaction<'_>, id: i64) -> Result<(), DbError> {
    snapshots::delete_all(tx, id)?;
    tx.prepare_cached("DELETE FROM instances WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}

/// The ranges of host ids that instances have, but for that of `but`.
pub fn id_spans(tx: &Transaction<'_>, but: Option<i64>) -> Result<Vec<Span>, DbError> {
    let mut statement = tx.prepare_cached(
        "SELECT idmap_base, idmap_size FROM instances WHERE idmap_base IS NOT NULL AND id IS NOT ?1 ORDER BY 1",
    )?;
    let rows = statement.query_map([but], |row| {
        Ok(Span {
            first: row.get(0)?,
            count: row.get(1)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The same with who has each: its project and its name.
pub fn id_owners(tx: &Transaction<'_>, but: i64) -> Result<Vec<(Span, String, String)>, DbError> {
    let mut statement = tx.prepare_cached(
        "SELECT i.idmap_base, i.idmap_size, p.name, i.name FROM instances i JOIN projects p ON p.id = i.project_id
         WHERE i.idmap_base IS NOT NULL AND i.id IS NOT ?1 ORDER BY 1",
    )?;
    let rows = statement.query_map([but], |row| {
        let span = Span {
            first: row.get(0)?,
            count: row.get(1)?,
        };
        Ok((span, row.get(2)?, row.get(3)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What all instances but `but`, and all profiles, say as `raw.idmap`.
pub fn raw_idmaps(tx: &Transaction<'_>, but: i64) -> Result<Vec<String>, DbError> {
    let mut statement = tx.prepare_cached(
        "SELECT value FROM instance_config WHERE key = 'raw.idmap' AND instance_id IS NOT ?1
         UNION SELECT value FROM profile_config WHERE key = 'raw.idmap'",
    )?;
    let rows = statement.query_map([but], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Gives an instance another range.
pub fn set_ids(tx: &Transaction<'_>, id: i64, ids: Span) -> Result<(), DbError> {
    tx.prepare_cached("UPDATE instances SET idmap_base = ?2, idmap_size = ?3 WHERE id = ?1")?
        .execute(params![id, ids.first, ids.count])?;
    Ok(())
}

/// Which of the names is taken, for names that the server chooses.
pub fn exists(tx: &Transaction<'_>, project: i64, name: &str) -> Result<bool, DbError> {
    Ok(find_id(tx, project, name)?.is_some())
}
