//! Storage pools, and which images are unpacked on them.

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::{DbError, keys};
use crate::model::Pool;

const SELECT: &str = "SELECT s.id, s.name, s.driver, s.description,
    (SELECT json_group_object(key, value) FROM storage_pool_config WHERE pool_id = s.id) AS config
    FROM storage_pools s";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Pool> {
    Ok(Pool {
        id: row.get("id")?,
        name: row.get("name")?,
        driver: row.get("driver")?,
        description: row.get("description")?,
        config: keys::json_column(row, "config")?,
    })
}

/// All pools, by name.
pub fn list(tx: &Transaction<'_>) -> Result<Vec<Pool>, DbError> {
    let mut statement = tx.prepare_cached(&format!("{SELECT} ORDER BY s.name"))?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// One pool.
pub fn find(tx: &Transaction<'_>, name: &str) -> Result<Option<Pool>, DbError> {
    let mut statement = tx.prepare_cached(&format!("{SELECT} WHERE s.name = ?1"))?;
    Ok(statement.query_row([name], from_row).optional()?)
}

/// Adds a pool; its id is filled in.
pub fn insert(tx: &Transaction<'_>, pool: &Pool) -> Result<i64, DbError> {
    tx.execute(
        "INSERT INTO storage_pools (name, driver, description) VALUES (?1, ?2, ?3)",
        params![pool.name, pool.driver, pool.description],
    )?;
    let id = tx.last_insert_rowid();
    keys::replace(tx, keys::POOL_CONFIG, id, &pool.config)?;
    Ok(id)
}

/// Replaces what a user may write.
pub fn update(tx: &Transaction<'_>, pool: &Pool) -> Result<(), DbError> {
    tx.execute(
        "UPDATE storage_pools SET description = ?2 WHERE id = ?1",
        params![pool.id, pool.description],
    )?;
    keys::replace(tx, keys::POOL_CONFIG, pool.id, &pool.config)
}

/// Removes.
pub fn delete(tx: &Transaction<'_>, id: i64) -> Result<(), DbError> {
    tx.execute("DELETE FROM storage_pools WHERE id = ?1", [id])?;
    Ok(())
}

/// Names of the instances on a pool.
pub fn instances(tx: &Transaction<'_>, id: i64) -> Result<Vec<(String, String)>, DbError> {
    let mut statement = tx.prepare_cached(
        "SELECT p.name, i.name FROM instances i JOIN projects p ON p.id = i.project_id WHERE i.pool_id = ?1 ORDER BY 1, 2",
    )?;
    let rows = statement.query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Fingerprints of the images that are unpacked on a pool.
pub fn images(tx: &Transaction<'_>, id: i64) -> Result<Vec<String>, DbError> {
    let mut statement =
        tx.prepare_cached("SELECT fingerprint FROM pool_images WHERE pool_id = ?1 ORDER BY 1")?;
    let rows = statement.query_map([id], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Records that an image is unpacked on a pool.
pub fn add_image(
    tx: &Transaction<'_>,
    pool: i64,
    fingerprint: &str,
    now: &str,
) -> Result<(), DbError> {
    tx.execute(
        "INSERT OR IGNORE INTO pool_images (pool_id, fingerprint, created_at) VALUES (?1, ?2, ?3)",
        params![pool, fingerprint, now],
    )?;
    Ok(())
}

/// Records that an image is no longer unpacked anywhere.
pub fn remove_image(tx: &Transaction<'_>, fingerprint: &str) -> Result<(), DbError> {
    tx.execute(
        "DELETE FROM pool_images WHERE fingerprint = ?1",
        [fingerprint],
    )?;
    Ok(())
}
