//! The journal of effects that are under way; see [`crate::saga`].

use rusqlite::{Transaction, params};

use super::DbError;

/// Writes what is about to be done and returns the entry's number.
pub fn append(tx: &Transaction<'_>, operation: &str, entry: &str) -> Result<i64, DbError> {
    tx.prepare_cached("INSERT INTO journal (operation_id, entry) VALUES (?1, ?2)")?
        .execute(params![operation, entry])?;
    Ok(tx.last_insert_rowid())
}

/// Forgets an entry: it was undone, or what it did is to stay.
pub fn remove(tx: &Transaction<'_>, id: i64) -> Result<(), DbError> {
    tx.prepare_cached("DELETE FROM journal WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}

/// What a crash left, the newest first.
pub fn list(tx: &Transaction<'_>) -> Result<Vec<(i64, String)>, DbError> {
    let mut statement = tx.prepare_cached("SELECT id, entry FROM journal ORDER BY id DESC")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Marks an entry whose undo failed: nobody is at work on it.
pub fn abandon(tx: &Transaction<'_>, id: i64) -> Result<(), DbError> {
    tx.execute("UPDATE journal SET operation_id = '' WHERE id = ?1", [id])?;
    Ok(())
}

/// The entries whose undo failed, the newest first.
pub fn abandoned(tx: &Transaction<'_>) -> Result<Vec<(i64, String)>, DbError> {
    let mut statement = tx
        .prepare_cached("SELECT id, entry FROM journal WHERE operation_id = '' ORDER BY id DESC")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
