//! Images and their aliases. A project is the one that asks; whose images it uses is found here.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::{DbError, keys, projects};
use crate::model::{Image, ImageOrigin};
use crate::plan::project::Feature;

const SELECT: &str = "SELECT m.*, o.protocol, o.server, o.alias, o.certificate, o.project AS origin_project,
    (SELECT json_group_object(key, value) FROM image_properties WHERE image_id = m.id) AS properties,
    (SELECT json_group_array(json_array(name, description)) FROM (SELECT name, description FROM image_aliases
        WHERE image_id = m.id ORDER BY name)) AS aliases,
    (SELECT json_group_array(name) FROM (SELECT p.name FROM image_profiles ip JOIN profiles p ON p.id = ip.profile_id
        WHERE ip.image_id = m.id ORDER BY ip.position)) AS profiles
    FROM images m LEFT JOIN image_sources o ON o.image_id = m.id";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Image> {
    let protocol: Option<String> = row.get("protocol")?;
    Ok(Image {
        id: row.get("id")?,
        fingerprint: row.get("fingerprint")?,
        filename: row.get("filename")?,
        size: row.get("size")?,
        split: row.get("split")?,
        public: row.get("public")?,
        cached: row.get("cached")?,
        auto_update: row.get("auto_update")?,
        architecture: row.get("architecture")?,
        created_at: row.get("created_at")?,
        expires_at: row.get("expires_at")?,
        uploaded_at: row.get("uploaded_at")?,
        last_used_at: row.get("last_used_at")?,
        properties: keys::json_column(row, "properties")?,
        aliases: keys::json_column(row, "aliases")?,
        profiles: keys::json_column(row, "profiles")?,
        source: match protocol {
            Some(protocol) => Some(ImageOrigin {
                protocol,
                server: row.get("server")?,
                alias: row.get("alias")?,
                certificate: row.get("certificate")?,
                project: row.get("origin_project")?,
            }),
            None => None,
        },
    })
}

/// All images of a project.
pub fn list(tx: &Transaction<'_>, project: i64) -> Result<Vec<Image>, DbError> {
    let project = projects::owner(tx, project, Feature::Images)?;
    let mut statement = tx.prepare_cached(&format!(
        "{SELECT} WHERE m.project_id = ?1 ORDER BY m.fingerprint"
    ))?;
    let rows = statement.query_map([project], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The images whose fingerprint begins with `prefix`.
pub fn find_by_prefix(
    tx: &Transaction<'_>,
    project: i64,
    prefix: &str,
) -> Result<Vec<Image>, DbError> {
    let project = projects::owner(tx, project, Feature::Images)?;
    let mut statement = tx.prepare_cached(&format!(
        "{SELECT} WHERE m.project_id = ?1 AND substr(m.fingerprint, 1, length(?2)) = ?2"
    ))?;
    let rows = statement.query_map(params![project, prefix], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Those of the fingerprints that are images of the project whose root file system is a file of its own.
pub fn split_among(
    tx: &Transaction<'_>,
    project: i64,
    fingerprints: BTreeSet<String>,
) -> Result<BTreeSet<String>, DbError> {
    let project = projects::owner(tx, project, Feature::Images)?;
    let mut statement = tx.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM images WHERE project_id = ?1 AND fingerprint = ?2 AND split)",
    )?;
    let mut found = BTreeSet::new();
    for fingerprint in fingerprints {
        if statement.query_row(params![project, fingerprint], |row| row.get(0))? {
            found.insert(fingerprint);
        }
    }
    Ok(found)
}

/// The image that an alias names.
pub fn find_by_alias(
    tx: &Transaction<'_>,
    project: i64,
    alias: &str,
) -> Result<Option<Image>, DbError> {
    let project = projects::owner(tx, project, Feature::Images)?;
    let mut statement = tx.prepare_cached(&format!(
        "{SELECT} WHERE m.id = (SELECT image_id FROM image_aliases WHERE project_id = ?1 AND name = ?2)"
    ))?;
    Ok(statement
        .query_row(params![project, alias], from_row)
        .optional()?)
}

/// The cached image that came from this place under this name.
pub fn find_by_origin(
    tx: &Transaction<'_>,
    project: i64,
    origin: &ImageOrigin,
) -> Result<Option<Image>, DbError> {
    let project = projects::owner(tx, project, Feature::Images)?;
    let mut statement = tx.prepare_cached(&format!(
        "{SELECT} WHERE m.project_id = ?1 AND o.protocol = ?2 AND o.server = ?3 AND o.alias = ?4
            AND o.project = ?5 ORDER BY m.created_at DESC LIMIT 1"
    ))?;
    let row = statement.query_row(
        params![
            project,
            origin.protocol,
            origin.server,
            origin.alias,
            origin.project
        ],
        from_row,
    );
    Ok(row.optional()?)
}

/// Adds an image with its properties, profiles and origin, without aliases; returns its id.
pub fn insert(tx: &Transaction<'_>, project: i64, image: &Image) -> Result<i64, DbError> {
    let project = projects::owner(tx, project, Feature::Images)?;
    tx.execute(
        "INSERT INTO images (project_id, fingerprint, filename, size, split, public, cached, auto_update, architecture, created_at,
            expires_at, uploaded_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        params![
            project,
            image.fingerprint,
            image.filename,
            image.size,
            image.split,
            image.public,
            image.cached,
            image.auto_update,
            image.architecture,
            image.created_at,
            image.expires_at,
            image.uploaded_at,
        ],
    )?;
    let id = tx.last_insert_rowid();
    keys::replace(tx, keys::IMAGE_PROPERTIES, id, &image.properties)?;
    if let Some(origin) = &image.source {
        tx.execute(
            "INSERT INTO image_sources (image_id, protocol, server, alias, certificate, project) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                id,
                origin.protocol,
                origin.server,
                origin.alias,
                origin.certificate,
                origin.project
            ],
        )?;
    }
    Ok(id)
}

/// Replaces the profiles of an image; gives back the first that its project has not.
pub fn replace_profiles(
    tx: &Transaction<'_>,
    image: i64,
    profiles: &[String],
) -> Result<Option<String>, DbError> {
    tx.execute("DELETE FROM image_profiles WHERE image_id = ?1", [image])?;
    let project: i64 = tx
        .prepare_cached("SELECT project_id FROM images WHERE id = ?1")?
        .query_row([image], |row| row.get(0))?;
    let owner = projects::owner(tx, project, Feature::Profiles)?;
    let mut statement = tx.prepare_cached(
        "INSERT OR IGNORE INTO image_profiles (image_id, profile_id, position)
         SELECT ?1, id, ?3 FROM profiles WHERE project_id = ?4 AND name = ?2",
    )?;
    for (position, name) in profiles.iter().enumerate() {
        let position = i64::try_from(position).unwrap_or(i64::MAX);
        let is_repeated = profiles.iter().filter(|other| *other == name).count() > 1;
        if statement.execute(params![image, name, position, owner])? == 0 && !is_repeated {
            return Ok(Some(name.clone()));
        }
    }
    Ok(None)
}

/// Replaces what a user may write, but for profiles.
pub fn update(tx: &Transaction<'_>, image: &Image) -> Result<(), DbError> {
    tx.execute(
        "UPDATE images SET public = ?2, auto_update = ?3, expires_at = ?4, cached = ?5 WHERE id = ?1",
        params![image.id, image.public, image.auto_update, image.expires_at, image.cached],
    )?;
    keys::replace(tx, keys::IMAGE_PROPERTIES, image.id, &image.properties)
}

/// Records that an instance was made of it.
pub fn touch(tx: &Transaction<'_>, id: i64, now: &str) -> Result<(), DbError> {
    tx.prepare_cached("UPDATE images SET last_used_at = ?2 WHERE id = ?1")?
        .execute(params![id, now])?;
    Ok(())
}

/// Records when an instance was last made of it, or of the one that it took the place of.
pub fn set_last_used(tx: &Transaction<'_>, id: i64, time: Option<&str>) -> Result<(), DbError> {
    tx.execute(
        "UPDATE images SET last_used_at = ?2 WHERE id = ?1",
        params![id, time],
    )?;
    Ok(())
}

/// Removes an image with its aliases. When it is gone already, another one may have its id by now: that one stays.
pub fn delete(tx: &Transaction<'_>, id: i64, fingerprint: &str) -> Result<(), DbError> {
    tx.execute(
        "DELETE FROM images WHERE id = ?1 AND fingerprint = ?2",
        params![id, fingerprint],
    )?;
    Ok(())
}

/// An alias and the image it stands for.
#[derive(Debug, Clone)]
pub struct Alias {
    /// Its name.
    pub name: String,
    /// Free text.
    pub description: String,
    /// The image's fingerprint.
    pub target: String,
}

/// All aliases of a project, by name.
pub fn list_aliases(tx: &Transaction<'_>, project: i64) -> Result<Vec<Alias>, DbError> {
    let project = projects::owner(tx, project, Feature::Images)?;
    let mut statement = tx.prepare_cached(
        "SELECT a.name, a.description, m.fingerprint FROM image_aliases a JOIN images m ON m.id = a.image_id
         WHERE a.project_id = ?1 ORDER BY a.name",
    )?;
    let rows = statement.query_map([project], alias_from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// One alias.
pub fn find_alias(
    tx: &Transaction<'_>,
    project: i64,
    name: &str,
) -> Result<Option<Alias>, DbError> {
    let project = projects::owner(tx, project, Feature::Images)?;
    let mut statement = tx.prepare_cached(
        "SELECT a.name, a.description, m.fingerprint FROM image_aliases a JOIN images m ON m.id = a.image_id
         WHERE a.project_id = ?1 AND a.name = ?2",
    )?;
    Ok(statement
        .query_row(params![project, name], alias_from_row)
        .optional()?)
}

fn alias_from_row(row: &Row<'_>) -> rusqlite::Result<Alias> {
    Ok(Alias {
        name: row.get(0)?,
        description: row.get(1)?,
        target: row.get(2)?,
    })
}

/// Adds an alias.
pub fn insert_alias(
    tx: &Transaction<'_>,
    project: i64,
    image: i64,
    name: &str,
    description: &str,
) -> Result<(), DbError> {
    let project = projects::owner(tx, project, Feature::Images)?;
    tx.execute(
        "INSERT INTO image_aliases (project_id, image_id, name, description) VALUES (?1, ?2, ?3, ?4)",
        params![project, image, name, description],
    )?;
    Ok(())
}

/// Points an alias at an image, whether or not it is there already.
pub fn point_alias(
    tx: &Transaction<'_>,
    project: i64,
    image: i64,
    name: &str,
    description: &str,
) -> Result<(), DbError> {
    let project = projects::owner(tx, project, Feature::Images)?;
    tx.execute(
        "INSERT INTO image_aliases (project_id, image_id, name, description) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (project_id, name) DO UPDATE SET image_id = ?2, description = ?4",
        params![project, image, name, description],
    )?;
    Ok(())
}

/// Renames an alias; tells whether there is one.
pub fn rename_alias(
    tx: &Transaction<'_>,
    project: i64,
    name: &str,
    new: &str,
) -> Result<bool, DbError> {
    let project = projects::owner(tx, project, Feature::Images)?;
    Ok(tx.execute(
        "UPDATE image_aliases SET name = ?3 WHERE project_id = ?1 AND name = ?2",
        params![project, name, new],
    )? == 1)
}

/// Removes an alias; tells whether there was one.
pub fn delete_alias(tx: &Transaction<'_>, project: i64, name: &str) -> Result<bool, DbError> {
    let project = projects::owner(tx, project, Feature::Images)?;
    Ok(tx.execute(
        "DELETE FROM image_aliases WHERE project_id = ?1 AND name = ?2",
        params![project, name],
    )? == 1)
}

/// Whether any project has this image.
pub fn is_known(tx: &Transaction<'_>, fingerprint: &str) -> Result<bool, DbError> {
    let mut statement =
        tx.prepare_cached("SELECT EXISTS (SELECT 1 FROM images WHERE fingerprint = ?1)")?;
    Ok(statement.query_row([fingerprint], |row| row.get(0))?)
}
