//! The inventory: SQLite behind one thread that writes. Rows stop here: functions take and return domain values.
//!
//! One file a table family; SQL stands as literal text beside the function that runs it.

pub mod backups;
pub mod certificates;
pub mod config;
pub mod descriptions;
pub mod images;
pub mod instances;
pub mod join_tokens;
pub mod journal;
pub mod keys;
mod migrate;
pub mod network_rules;
pub mod network_zones;
pub mod networks;
pub mod operations;
pub mod pools;
pub mod profiles;
pub mod projects;
mod reader;
pub mod scheduled;
pub mod snapshots;
pub mod sql;
mod thread;
pub mod volumes;
pub mod warnings;

use std::path::PathBuf;

pub use migrate::MIGRATIONS;
#[cfg(test)]
pub(crate) use thread::Access;
pub use thread::Db;

/// The id of the project that always exists.
pub const DEFAULT_PROJECT: i64 = 1;

/// What went wrong with the inventory.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The file can't be opened.
    #[error("open the database {}", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// It was written by a later version of rlxc.
    #[error("the database {} has schema version {found}, but this rlxcd knows only {known}: install the newer version again, or put back the copy beside it", path.display())]
    Newer {
        /// Which.
        path: PathBuf,
        /// Its version.
        found: usize,
        /// Ours.
        known: usize,
    },
    /// A migration does not apply.
    #[error("migrate the database to version {version}")]
    Migrate {
        /// To which version.
        version: usize,
        /// Why not.
        #[source]
        source: rusqlite::Error,
    },
    /// The thread can't be started.
    #[error("start the database thread")]
    Thread(#[source] std::io::Error),
    /// The daemon is shutting down.
    #[error("the database is closed")]
    Closed,
    /// A row does not read as what it should be.
    #[error("read {what} from the database")]
    Row {
        /// What it should be.
        what: &'static str,
        /// Why it is not.
        #[source]
        source: serde_json::Error,
    },
    /// A statement did not run.
    #[error("run a statement on the database")]
    Sql(#[from] rusqlite::Error),
}

impl DbError {
    /// Whether a UNIQUE constraint refused the row: the name is taken.
    pub fn is_unique_violation(&self) -> bool {
        matches!(self, Self::Sql(rusqlite::Error::SqliteFailure(error, _))
            if error.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE)
    }
}
