//! Projects.

use rusqlite::{OptionalExtension, Transaction};

use super::{DbError, keys};
use crate::model::Project;

/// All projects, by name.
pub fn list(tx: &Transaction<'_>) -> Result<Vec<Project>, DbError> {
    let mut statement =
        tx.prepare_cached("SELECT id, name, description FROM projects ORDER BY name")?;
    let rows = statement.query_map([], |row| {
        Ok(Project {
            id: row.get(0)?,
            name: row.get(1)?,
            description: row.get(2)?,
            config: crate::model::Config::new(),
        })
    })?;
    let mut projects = rows.collect::<Result<Vec<_>, _>>()?;
    for project in &mut projects {
        project.config = keys::load(tx, keys::PROJECT_CONFIG, project.id)?;
    }
    Ok(projects)
}

/// The row of a project by its name.
pub fn find_id(tx: &Transaction<'_>, name: &str) -> Result<Option<i64>, DbError> {
    let id = tx
        .prepare_cached("SELECT id FROM projects WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?;
    Ok(id)
}
