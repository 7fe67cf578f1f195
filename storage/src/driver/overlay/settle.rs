//! Records go to disk a moment after they were changed: nobody waits for that. Until then the record before is kept beside
//! each, and the layers that it names stay, so that a power cut costs the last moment and no volume.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rlxc_sys::chain::chain;
use rlxc_sys::file::FileError;

use super::layers::{Layers, Table};
use super::record::Record;
use crate::pool::PoolDir;
use crate::volume::VolumeRef;

/// Records are brought to disk once none has changed for this long (in tests: when the pool is closed),
const QUIET: Duration = Duration::from_millis(if cfg!(test) { 3_600_000 } else { 200 });
/// or this long after the first did.
const LATEST: Duration = Duration::from_secs(2);

/// Volumes whose records may not be on disk.
pub(super) type Waiting = BTreeMap<VolumeRef, Unsettled>;

/// What must be known of one.
#[derive(Debug, Default)]
pub(super) struct Unsettled {
    /// How often it has changed.
    changes: u64,
    /// Pins of the records that it had before.
    pins: Vec<u64>,
}

/// The thread, and what it has to do. Its end waits until all is on disk.
#[derive(Debug)]
pub(super) struct Settler {
    waiting: Arc<Mutex<Waiting>>,
    wake: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread works on.
struct Desk {
    pool: Arc<PoolDir>,
    table: Arc<Mutex<Table>>,
    waiting: Arc<Mutex<Waiting>>,
}

impl Settler {
    pub(super) fn start(pool: &Arc<PoolDir>, table: &Arc<Mutex<Table>>) -> Result<Self, FileError> {
        let (wake, wakes) = std::sync::mpsc::channel();
        let waiting = Arc::default();
        let desk = Desk {
            pool: Arc::clone(pool),
            table: Arc::clone(table),
            waiting: Arc::clone(&waiting),
        };
        let thread = std::thread::Builder::new()
            .name("rlxc-settle".into())
            .spawn(move || desk.serve(&wakes))
            .map_err(|error| FileError::new("start the thread of", &pool.source, error))?;
        Ok(Self {
            waiting,
            wake: Some(wake),
            thread: Some(thread),
        })
    }

    /// Held while a record is replaced. Taken before the table.
    pub(super) fn waiting(&self) -> MutexGuard<'_, Waiting> {
        lock(&self.waiting)
    }

    /// Notes that a record was replaced; `pin` keeps the layers that the one before names.
    pub(super) fn changed(&self, waiting: &mut Waiting, volume: VolumeRef, pin: Option<u64>) {
        let unsettled = waiting.entry(volume).or_default();
        unsettled.changes += 1;
        unsettled.pins.extend(pin);
        if let Some(wake) = &self.wake {
            // Without the thread it stays unsettled until the next start.
            let _woken = wake.send(()).is_ok();
        }
    }

    /// Of a volume that is gone; pins that nobody needs any more.
    pub(super) fn forget(&self, volume: VolumeRef) -> Vec<u64> {
        let gone = self.waiting().remove(&volume);
        gone.map(|unsettled| unsettled.pins).unwrap_or_default()
    }
}

impl Drop for Settler {
    fn drop(&mut self) {
        drop(self.wake.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed already.
            drop(thread.join());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is in there is changed by single insertions and removals, so a panic elsewhere left it whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk {
    fn serve(self, wakes: &Receiver<()>) {
        while wakes.recv().is_ok() {
            let latest = Instant::now() + LATEST;
            while Instant::now() < latest && wakes.recv_timeout(QUIET).is_ok() {}
            self.settle_all();
        }
        self.settle_all();
    }

    fn all(&self) -> Vec<(VolumeRef, u64)> {
        let waiting = lock(&self.waiting);
        waiting
            .iter()
            .map(|(volume, unsettled)| (*volume, unsettled.changes))
            .collect()
    }

    fn settle_all(&self) {
        for (volume, changes) in self.all() {
            match self.settle(volume, changes) {
                // It is deleted right now.
                Err(error) if error.is_not_found() => {}
                Err(error) => {
                    let error = chain(&error).to_string();
                    tracing::warn!(%volume, error, "its record is not on disk; the next change tries again");
                }
                Ok(()) => {}
            }
        }
    }

    fn settle(&self, volume: VolumeRef, changes: u64) -> Result<(), FileError> {
        let dir = self.pool.volume(volume);
        Record::sync(&dir)?;
        let mut waiting = lock(&self.waiting);
        if waiting
            .get(&volume)
            .is_none_or(|now| now.changes != changes)
        {
            // It has changed meanwhile: the next round is about what it is now.
            return Ok(());
        }
        Record::forget_before(&dir)?;
        let settled = waiting.remove(&volume).unwrap_or_default();
        drop(waiting);
        for pin in settled.pins {
            let unneeded = lock(&self.table).unpin(pin);
            Layers(&self.pool).discard(unneeded);
        }
        Ok(())
    }
}
