//! The pools that are open, and the seam through which they are opened.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, PoisonError, RwLock};

use rlxc_storage::{Driver, Error as StorageError, PoolSpec};
use tokio::sync::{Mutex, MutexGuard};

use crate::error::{Error, Result};

/// Makes and opens pools.
pub trait Opener: Send + Sync + Debug {
    /// Makes a pool and opens it.
    fn create(&self, spec: &PoolSpec) -> Result<Arc<dyn Driver>, StorageError>;
    /// Opens one that was made before.
    fn open(&self, spec: &PoolSpec) -> Result<Arc<dyn Driver>, StorageError>;
}

/// Opens pools on the host's file systems.
#[derive(Debug)]
pub struct HostOpener;

impl Opener for HostOpener {
    fn create(&self, spec: &PoolSpec) -> Result<Arc<dyn Driver>, StorageError> {
        rlxc_storage::create(spec)
    }

    fn open(&self, spec: &PoolSpec) -> Result<Arc<dyn Driver>, StorageError> {
        rlxc_storage::open(spec)
    }
}

/// The pools that are open.
#[derive(Debug)]
pub struct Pools {
    drivers: RwLock<HashMap<String, Arc<dyn Driver>>>,
    /// Why those that should be open are not.
    reasons: RwLock<HashMap<String, String>>,
    opener: Arc<dyn Opener>,
    turn: Mutex<()>,
}

impl Default for Pools {
    fn default() -> Self {
        Self::new(Arc::new(HostOpener))
    }
}

impl Pools {
    /// None yet; they are opened by `opener`.
    pub fn new(opener: Arc<dyn Opener>) -> Self {
        Self {
            drivers: RwLock::default(),
            reasons: RwLock::default(),
            opener,
            turn: Mutex::new(()),
        }
    }

    /// The driver of an open pool.
    pub fn get(&self, name: &str) -> Result<Arc<dyn Driver>> {
        let drivers = self.drivers.read().unwrap_or_else(PoisonError::into_inner);
        drivers.get(name).cloned().ok_or_else(|| {
            let reasons = self.reasons.read().unwrap_or_else(PoisonError::into_inner);
            let reason = reasons
                .get(name)
                .map_or("it is being opened", String::as_str);
            Error::Unavailable(format!("storage pool `{name}` is not available: {reason}"))
        })
    }

    /// Remembers why a pool is not open.
    pub(super) fn missing(&self, name: &str, reason: String) {
        self.reasons
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.to_owned(), reason);
    }

    /// Whether a pool is open.
    pub fn is_open(&self, name: &str) -> bool {
        self.drivers
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .contains_key(name)
    }

    /// Waits until nobody makes, opens or deletes a pool, and keeps others from it.
    pub(crate) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    pub(super) fn opener(&self) -> Arc<dyn Opener> {
        Arc::clone(&self.opener)
    }

    /// Takes over a pool that was opened elsewhere.
    pub fn adopt(&self, name: &str, driver: Arc<dyn Driver>) {
        self.add(name, driver);
    }

    pub(super) fn add(&self, name: &str, driver: Arc<dyn Driver>) {
        self.drivers
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.to_owned(), driver);
    }

    pub(crate) fn remove(&self, name: &str) -> Option<Arc<dyn Driver>> {
        self.drivers
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name)
    }
}
