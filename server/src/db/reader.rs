//! A second connection, for queries that need not wait for the thread.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, TryLockError};

use rusqlite::{Connection, OpenFlags, Transaction};

use super::DbError;

/// How much of the database it keeps in memory, in KiB: the kernel has the file in its cache.
const CACHE: i64 = 256;

/// Changes that are queued and not yet written: a query that overtook them would not see what its caller has done.
#[derive(Debug, Clone, Default)]
pub(super) struct Unwritten(Arc<AtomicUsize>);

/// One of them; dropped when it is written, or given up.
#[derive(Debug)]
pub(super) struct Queued(Arc<AtomicUsize>);

impl Unwritten {
    pub(super) fn queue(&self) -> Queued {
        self.0.fetch_add(1, Ordering::AcqRel);
        Queued(Arc::clone(&self.0))
    }

    pub(super) fn is_none(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The connection; one query at a time.
#[derive(Debug, Clone)]
pub(super) struct Reader(Arc<Mutex<Connection>>);

impl Reader {
    pub(super) fn open(path: &Path) -> Result<Self, DbError> {
        let open = || {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(path, flags)?;
            connection.pragma_update(None, "cache_size", -CACHE)?;
            connection.pragma_update(None, "busy_timeout", 5000)?;
            connection.set_prepared_statement_cache_capacity(64);
            Ok(connection)
        };
        open()
            .map(|connection| Self(Arc::new(Mutex::new(connection))))
            .map_err(|source| DbError::Open {
                path: path.to_owned(),
                source,
            })
    }

    /// Runs `query` unless another one runs: then it is given back.
    pub(super) fn try_read<T, E, F>(&self, query: F) -> Result<Result<T, E>, F>
    where
        E: From<DbError>,
        F: FnOnce(&Transaction<'_>) -> Result<T, E>,
    {
        let mut connection = match self.0.try_lock() {
            Ok(connection) => connection,
            // A query that panicked has rolled back.
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(query),
        };
        Ok(match connection.transaction() {
            Ok(tx) => query(&tx),
            Err(error) => Err(DbError::from(error).into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::db::{Db, config};
    use crate::model::Config;

    fn database() -> (tempfile::TempDir, Db) {
        let directory = tempfile::tempdir().unwrap();
        let db = Db::open(&directory.path().join("rlxc.db")).unwrap();
        (directory, db)
    }

    fn one_key(value: &str) -> Config {
        [("user.key".to_owned(), value.to_owned())].into()
    }

    #[tokio::test]
    async fn a_query_sees_what_was_queued_before_it() {
        let (_directory, db) = database();
        for round in 0..200 {
            let config = one_key(&round.to_string());
            let written = config.clone();
            db.post(move |tx| config::replace(tx, &written));
            assert_eq!(db.read(config::load).await.unwrap(), config);
        }
    }

    #[tokio::test]
    async fn what_is_relaxed_comes_to_disk_by_itself() {
        let (directory, db) = database();
        db.post(move |tx| config::replace(tx, &one_key("kept")));
        let alone = directory.path().join("alone.db");
        let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
        loop {
            // Without its log the file has what a checkpoint has brought there.
            std::fs::copy(directory.path().join("rlxc.db"), &alone).unwrap();
            let copy = Db::open(&alone).unwrap();
            if copy.read(config::load).await.unwrap() == one_key("kept") {
                break;
            }
            assert!(std::time::Instant::now() < end, "it stays in the log");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}
