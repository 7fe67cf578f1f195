//! Keys of the server.

use rusqlite::{Transaction, params};

use super::DbError;
use crate::model::Config;

/// All keys.
pub fn load(tx: &Transaction<'_>) -> Result<Config, DbError> {
    let mut statement = tx.prepare_cached("SELECT key, value FROM config")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Replaces all keys.
pub fn replace(tx: &Transaction<'_>, config: &Config) -> Result<(), DbError> {
    tx.execute("DELETE FROM config", [])?;
    let mut insert = tx.prepare_cached("INSERT INTO config (key, value) VALUES (?1, ?2)")?;
    for (key, value) in config {
        insert.execute(params![key, value])?;
    }
    Ok(())
}
