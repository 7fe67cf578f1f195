//! Projects: their rows, what is in them, and whose things they use.

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::{DEFAULT_PROJECT, DbError, keys};
use crate::model::{Config, Project};
use crate::plan::project::Feature;

const SELECT: &str = "SELECT p.id, p.name, p.description,
    (SELECT json_group_object(key, value) FROM project_config WHERE project_id = p.id) AS config
    FROM projects p";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Project> {
    Ok(Project {
        id: row.get("id")?,
        name: row.get("name")?,
        description: row.get("description")?,
        config: keys::json_column(row, "config")?,
    })
}

/// All projects, by name.
pub fn list(tx: &Transaction<'_>) -> Result<Vec<Project>, DbError> {
    let mut statement = tx.prepare_cached(&format!("{SELECT} ORDER BY p.name"))?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// One project.
pub fn find(tx: &Transaction<'_>, name: &str) -> Result<Option<Project>, DbError> {
    let mut statement = tx.prepare_cached(&format!("{SELECT} WHERE p.name = ?1"))?;
    Ok(statement.query_row([name], from_row).optional()?)
}

/// One project by its row.
pub fn find_by_id(tx: &Transaction<'_>, id: i64) -> Result<Option<Project>, DbError> {
    let mut statement = tx.prepare_cached(&format!("{SELECT} WHERE p.id = ?1"))?;
    Ok(statement.query_row([id], from_row).optional()?)
}

/// The row of a project by its name.
pub fn find_id(tx: &Transaction<'_>, name: &str) -> Result<Option<i64>, DbError> {
    let id = tx
        .prepare_cached("SELECT id FROM projects WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?;
    Ok(id)
}

/// Whose images, profiles and so on a project uses: its own if it has that feature, else those of `default`.
///
/// The one place that decides it: the functions of each table family ask here, so that their callers give the project that
/// a request or an instance is of and need not know more.
pub fn owner(tx: &Transaction<'_>, project: i64, feature: Feature) -> Result<i64, DbError> {
    if project == DEFAULT_PROJECT {
        return Ok(DEFAULT_PROJECT);
    }
    let has: bool = tx
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM project_config WHERE project_id = ?1 AND key = ?2 AND value = 'true')",
        )?
        .query_row(params![project, feature.key()], |row| row.get(0))?;
    Ok(if has { project } else { DEFAULT_PROJECT })
}

/// The projects that use the things of `owner`: itself, and for `default` all that have none of their own.
pub fn users(tx: &Transaction<'_>, owner: i64, feature: Feature) -> Result<Vec<Project>, DbError> {
    let all = list(tx)?;
    let has = |project: &Project| feature.is_on(&project.config);
    Ok(all
        .into_iter()
        .filter(|project| {
            project.id == owner
                || (owner == DEFAULT_PROJECT && project.id != DEFAULT_PROJECT && !has(project))
        })
        .collect())
}

/// Adds a project and returns its id.
pub fn insert(
    tx: &Transaction<'_>,
    name: &str,
    description: &str,
    config: &Config,
) -> Result<i64, DbError> {
    tx.execute(
        "INSERT INTO projects (name, description) VALUES (?1, ?2)",
        params![name, description],
    )?;
    let id = tx.last_insert_rowid();
    keys::replace(tx, keys::PROJECT_CONFIG, id, config)?;
    Ok(id)
}

/// Replaces what a user may write.
pub fn update(
    tx: &Transaction<'_>,
    id: i64,
    description: &str,
    config: &Config,
) -> Result<(), DbError> {
    tx.execute(
        "UPDATE projects SET description = ?2 WHERE id = ?1",
        params![id, description],
    )?;
    keys::replace(tx, keys::PROJECT_CONFIG, id, config)
}

/// Renames.
pub fn rename(tx: &Transaction<'_>, id: i64, name: &str) -> Result<(), DbError> {
    tx.execute(
        "UPDATE projects SET name = ?2 WHERE id = ?1",
        params![id, name],
    )?;
    Ok(())
}

/// Removes, with its profiles.
pub fn delete(tx: &Transaction<'_>, id: i64) -> Result<(), DbError> {
    tx.execute("DELETE FROM projects WHERE id = ?1", [id])?;
    Ok(())
}

/// Paths of what is in a project, without its name: `/1.0/instances/c1`, `/1.0/profiles/default`.
pub fn contents(tx: &Transaction<'_>, id: i64) -> Result<Vec<String>, DbError> {
    let mut statement = tx.prepare_cached(
        "SELECT '/1.0/instances/' || name FROM instances WHERE project_id = ?1
         UNION ALL SELECT '/1.0/images/' || fingerprint FROM images WHERE project_id = ?1
         UNION ALL SELECT '/1.0/profiles/' || name FROM profiles WHERE project_id = ?1
         UNION ALL SELECT '/1.0/networks/' || name FROM networks WHERE project_id = ?1
         UNION ALL SELECT '/1.0/network-zones/' || name FROM network_zones WHERE project_id = ?1
         ORDER BY 1",
    )?;
    let rows = statement.query_map([id], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Bytes of the images and number of the networks that are a project's own.
pub fn totals(tx: &Transaction<'_>, id: i64) -> Result<(i64, i64), DbError> {
    let mut statement = tx.prepare_cached(
        "SELECT (SELECT coalesce(sum(size), 0) FROM images WHERE project_id = ?1),
                (SELECT count(*) FROM networks WHERE project_id = ?1)",
    )?;
    Ok(statement.query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?)
}
