//! When it was last looked whether something is due.

use rusqlite::{OptionalExtension, Transaction};

use super::DbError;

/// Remembers a look, and returns the time of the one before; `None` at the first.
pub fn advance(tx: &Transaction<'_>, now: &str) -> Result<Option<String>, DbError> {
    let before = tx
        .query_row("SELECT looked_at FROM scheduled", [], |row| row.get(0))
        .optional()?;
    tx.execute(
        "INSERT INTO scheduled (id, looked_at) VALUES (1, ?1)
         ON CONFLICT (id) DO UPDATE SET looked_at = excluded.looked_at",
        [now],
    )?;
    Ok(before)
}
