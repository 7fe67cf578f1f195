//! The thread that owns the only connection to the inventory that writes.
//!
//! One closure is one transaction. Closures hold SQL only: no files, no netlink, no waiting.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use rlxc_sys::chain::chain;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{Notify, oneshot};

use super::reader::{Reader, Unwritten};
use super::{DbError, migrate};

/// What is relaxed is brought to disk once nothing else has been asked for this long,
const QUIET: Duration = Duration::from_millis(200);
/// or this long after it was written.
const LATEST: Duration = Duration::from_secs(2);

type Job = Box<dyn FnOnce(&mut Writer) + Send>;

/// When a committed transaction must be on disk; see SQLite's `PRAGMA synchronous`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Durability {
    /// Before the call returns: what is reported as done survives power loss, and all that was written before it.
    Synced,
    /// At most two seconds later: survives the death of the daemon, and that of the machine if it is not the next thing to happen.
    Relaxed,
}

/// A handle to the database thread; cheap to clone.
#[derive(Debug, Clone)]
pub struct Db {
    jobs: mpsc::Sender<Job>,
    unwritten: Unwritten,
    /// None for a database in memory.
    reader: Option<Reader>,
    changed: Arc<Notify>,
}

struct Writer {
    connection: Connection,
    changed: Arc<Notify>,
    durability: Durability,
    /// Since when something relaxed may be in memory only.
    relaxed_since: Option<Instant>,
    #[cfg(test)]
    gate: Option<Gate>,
}

/// What a transaction is about to do, for tests that let it fail.
#[cfg(test)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Look.
    Read,
    /// Make its changes last.
    Commit,
}

#[cfg(test)]
type Gate = Box<dyn FnMut(Access) -> bool + Send>;

impl Db {
    /// Opens (or makes) the database, migrates it and starts its thread.
    pub fn open(path: &Path) -> Result<Self, DbError> {
        let mut connection = Connection::open(path).map_err(|source| DbError::Open {
            path: path.to_owned(),
            source,
        })?;
        configure(&connection)?;
        migrate::migrate(&mut connection, path)?;
        let reader = Reader::open(path)?;
        Self::start(connection, Some(reader))
    }

    /// A database in memory, for tests.
    pub fn in_memory() -> Result<Self, DbError> {
        let mut connection = Connection::open_in_memory()?;
        configure(&connection)?;
        migrate::migrate(&mut connection, Path::new(":memory:"))?;
        Self::start(connection, None)
    }

    fn start(connection: Connection, reader: Option<Reader>) -> Result<Self, DbError> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let changed = Arc::new(Notify::new());
        let writer = Writer {
            connection,
            changed: Arc::clone(&changed),
            durability: Durability::Relaxed,
            relaxed_since: None,
            #[cfg(test)]
            gate: None,
        };
        std::thread::Builder::new()
            .name("rlxc-db".to_owned())
            .spawn(move || writer.serve(&queue))
            .map_err(DbError::Thread)?;
        Ok(Self {
            jobs,
            unwritten: Unwritten::default(),
            reader,
            changed,
        })
    }

    /// Runs a transaction that changes rows and reports it as done only when it is on disk.
    pub async fn write<T, E, F>(&self, change: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    {
        self.transact(Durability::Synced, change).await
    }

    /// Runs a transaction that a user waits for: done when this returns, on disk a moment later (see [`LATEST`]).
    pub async fn note<T, E, F>(&self, change: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    {
        self.transact(Durability::Relaxed, change).await
    }

    /// Runs a transaction that only reads, and sees all that was queued before it. Where nothing is, it runs at once, here: to
    /// wake the thread, and to be woken by it, would take longer than most queries.
    pub async fn read<T, E, F>(&self, query: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    {
        let query = match &self.reader {
            Some(reader) if self.unwritten.is_none() => match reader.try_read(query) {
                Ok(answer) => return answer,
                Err(busy) => busy,
            },
            _ => query,
        };
        self.submit(move |writer| {
            #[cfg(test)]
            if !asked(&mut writer.gate, Access::Read) {
                return Err(DbError::Closed.into());
            }
            let tx = writer.connection.transaction().map_err(DbError::from)?;
            query(&tx)
        })
        .await
    }

    /// Queues a transaction whose end nobody waits for; a failure is logged.
    pub fn post<F>(&self, change: F)
    where
        F: FnOnce(&Transaction<'_>) -> Result<(), DbError> + Send + 'static,
    {
        let queued = self.unwritten.queue();
        let job: Job = Box::new(move |writer| {
            if let Err(error) = writer.transact(Durability::Relaxed, change) {
                tracing::error!(error = %chain(&error), "a note to the database is lost");
            }
            drop(queued);
        });
        if self.jobs.send(job).is_err() {
            tracing::error!("a note to the database is lost: it is closed");
        }
    }

    /// Waits until something was committed since the last call; for one task.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Asks `gate` before each access from now on; what it forbids fails.
    #[cfg(test)]
    pub(crate) fn set_gate(&self, gate: impl FnMut(Access) -> bool + Send + 'static) {
        let job: Job = Box::new(move |writer| writer.gate = Some(Box::new(gate)));
        drop(self.jobs.send(job));
    }

    async fn transact<T, E, F>(&self, durability: Durability, change: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    {
        let queued = self.unwritten.queue();
        self.submit(move |writer| {
            let done = writer.transact(durability, change);
            drop(queued);
            done
        })
        .await
    }

    async fn submit<T, E, F>(&self, job: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        F: FnOnce(&mut Writer) -> Result<T, E> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |writer| {
            // A caller that went away needs no answer.
            drop(reply.send(job(writer)));
        });
        self.jobs.send(job).map_err(|_closed| DbError::Closed)?;
        answer.await.map_err(|_closed| DbError::Closed)?
    }
}

impl Writer {
    fn serve(mut self, queue: &mpsc::Receiver<Job>) {
        loop {
            let job = match self.relaxed_since {
                None => queue.recv().ok(),
                Some(since) if since.elapsed() > LATEST => {
                    self.sync();
                    continue;
                }
                Some(_) => match queue.recv_timeout(QUIET) {
                    Ok(job) => Some(job),
                    Err(RecvTimeoutError::Timeout) => {
                        self.sync();
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => None,
                },
            };
            match job {
                Some(job) => job(&mut self),
                None => return,
            }
        }
    }

    /// Brings to disk what is in memory only.
    fn sync(&mut self) {
        self.relaxed_since = None;
        let synced = self
            .connection
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        if let Err(error) = synced {
            tracing::warn!(error = %chain(&error), "the database is not brought to disk; the next change tries again");
        }
    }

    fn transact<T, E, F>(&mut self, durability: Durability, change: F) -> Result<T, E>
    where
        E: From<DbError>,
        F: FnOnce(&Transaction<'_>) -> Result<T, E>,
    {
        self.set_durability(durability)?;
        let tx = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(DbError::from)?;
        let value = change(&tx)?;
        #[cfg(test)]
        if !asked(&mut self.gate, Access::Commit) {
            return Err(DbError::Closed.into());
        }
        tx.commit().map_err(DbError::from)?;
        self.relaxed_since = match durability {
            Durability::Synced => None,
            Durability::Relaxed => self.relaxed_since.or_else(|| Some(Instant::now())),
        };
        self.changed.notify_one();
        Ok(value)
    }

    fn set_durability(&mut self, durability: Durability) -> Result<(), DbError> {
        if self.durability != durability {
            let mode = match durability {
                Durability::Synced => "FULL",
                Durability::Relaxed => "NORMAL",
            };
            self.connection.pragma_update(None, "synchronous", mode)?;
            self.durability = durability;
        }
        Ok(())
    }
}

#[cfg(test)]
fn asked(gate: &mut Option<Gate>, access: Access) -> bool {
    gate.as_mut().is_none_or(|gate| gate(access))
}

fn configure(connection: &Connection) -> Result<(), DbError> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "busy_timeout", 5000)?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(())
}
