//! Which descriptions on pools are older than the inventory; triggers note it, see `migrations/0009_descriptions.sql`.

use rlxc_storage::VolumeKind;
use rusqlite::{Transaction, params};

use super::DbError;

/// A description that must be written again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stale {
    /// Which change made it so, the last one.
    pub version: i64,
    /// Of an instance or of a custom volume.
    pub kind: VolumeKind,
    /// Its id.
    pub id: i64,
}

/// All of them, the oldest first.
pub fn stale(tx: &Transaction<'_>) -> Result<Vec<Stale>, DbError> {
    let mut statement = tx
        .prepare_cached("SELECT version, kind = 'custom', id FROM stale_descriptions ORDER BY 1")?;
    let rows = statement.query_map([], |row| {
        let kind = if row.get(1)? {
            VolumeKind::Custom
        } else {
            VolumeKind::Container
        };
        Ok(Stale {
            version: row.get(0)?,
            kind,
            id: row.get(2)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// One was written as it was at that version.
pub fn written(tx: &Transaction<'_>, version: i64) -> Result<(), DbError> {
    tx.prepare_cached("DELETE FROM stale_descriptions WHERE version = ?1")?
        .execute(params![version])?;
    Ok(())
}
