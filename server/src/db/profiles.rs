//! Profiles. A project is the one that asks; whose profiles it uses is found here.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::{DbError, keys, projects};
use crate::model::{Config, Devices, Profile};
use crate::plan::project::Feature;

const SELECT: &str = "SELECT p.id, pr.name AS project, p.name, p.description,
    (SELECT json_group_object(key, value) FROM profile_config WHERE profile_id = p.id) AS config,
    (SELECT json_group_array(json_array(device, key, value)) FROM profile_devices WHERE profile_id = p.id) AS devices,
    (SELECT json_group_array(json_array(project, name)) FROM (SELECT DISTINCT ipr.name AS project, i.name AS name FROM instance_profiles ip
        JOIN instances i ON i.id = ip.instance_id JOIN projects ipr ON ipr.id = i.project_id WHERE ip.profile_id = p.id ORDER BY 1, 2)) AS used_by
    FROM profiles p JOIN projects pr ON pr.id = p.project_id";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Profile> {
    Ok(Profile {
        id: row.get("id")?,
        project: row.get("project")?,
        name: row.get("name")?,
        description: row.get("description")?,
        config: keys::json_column(row, "config")?,
        devices: keys::gather_devices(keys::json_column(row, "devices")?),
        used_by: keys::json_column(row, "used_by")?,
    })
}

/// All profiles of a project, by name.
pub fn list(tx: &Transaction<'_>, project: i64) -> Result<Vec<Profile>, DbError> {
    let project = projects::owner(tx, project, Feature::Profiles)?;
    let mut statement =
        tx.prepare_cached(&format!("{SELECT} WHERE p.project_id = ?1 ORDER BY p.name"))?;
    let rows = statement.query_map([project], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// All profiles of all projects.
pub fn list_all(tx: &Transaction<'_>) -> Result<Vec<Profile>, DbError> {
    let mut statement = tx.prepare_cached(&format!("{SELECT} ORDER BY pr.name, p.name"))?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Which profiles the instances of each project have to choose from.
#[derive(Debug, Clone)]
pub struct Known {
    by_owner: BTreeMap<String, Vec<Profile>>,
}

impl Known {
    /// The profiles that instances of a project use.
    pub fn of(&self, project: &str) -> &[Profile] {
        let own = self.by_owner.get(project);
        own.or_else(|| self.by_owner.get("default"))
            .map_or(&[], Vec::as_slice)
    }
}

/// The profiles of all projects, by the project that uses them.
pub fn known(tx: &Transaction<'_>) -> Result<Known, DbError> {
    let owners = projects::list(tx)?.into_iter();
    let mut by_owner: BTreeMap<String, Vec<Profile>> = owners
        .filter(|project| Feature::Profiles.is_on(&project.config))
        .map(|project| (project.name, Vec::new()))
        .collect();
    for profile in list_all(tx)? {
        by_owner
            .entry(profile.project.clone())
            .or_default()
            .push(profile);
    }
    Ok(Known { by_owner })
}

/// One profile.
pub fn find(tx: &Transaction<'_>, project: i64, name: &str) -> Result<Option<Profile>, DbError> {
    let project = projects::owner(tx, project, Feature::Profiles)?;
    let mut statement =
        tx.prepare_cached(&format!("{SELECT} WHERE p.project_id = ?1 AND p.name = ?2"))?;
    Ok(statement
        .query_row(params![project, name], from_row)
        .optional()?)
}

/// Adds an empty profile.
pub fn insert(tx: &Transaction<'_>, project: i64, name: &str) -> Result<i64, DbError> {
    let project = projects::owner(tx, project, Feature::Profiles)?;
    tx.execute(
        "INSERT INTO profiles (project_id, name) VALUES (?1, ?2)",
        params![project, name],
    )?;
    Ok(tx.last_insert_rowid())
}

/// Replaces what a user may write.
pub fn update(
    tx: &Transaction<'_>,
    id: i64,
    description: &str,
    config: &Config,
    devices: &Devices,
) -> Result<(), DbError> {
    tx.execute(
        "UPDATE profiles SET description = ?2 WHERE id = ?1",
        params![id, description],
    )?;
    keys::replace(tx, keys::PROFILE_CONFIG, id, config)?;
    keys::replace_devices(tx, keys::PROFILE_DEVICES, id, devices)
}

/// Renames.
pub fn rename(tx: &Transaction<'_>, id: i64, name: &str) -> Result<(), DbError> {
    tx.execute(
        "UPDATE profiles SET name = ?2 WHERE id = ?1",
        params![id, name],
    )?;
    Ok(())
}

/// Removes.
pub fn delete(tx: &Transaction<'_>, id: i64) -> Result<(), DbError> {
    tx.execute("DELETE FROM profiles WHERE id = ?1", [id])?;
    Ok(())
}
