//! The guest API: what an instance is told by its host, on `/dev/lxd/sock` and `/dev/incus/sock`.
//!
//! ```text
//!  /run/rlxc/instances/<id>/guest ──mounted at start──▶ /dev/lxd, /dev/incus
//!      └ sock   bound by the daemon: at a start, after a restart of the daemon, when the guest API is switched on
//! ```
//! Each instance has a socket of its own, which tells who asks. Questions are answered from [`Facts`] in memory, so that
//! a guest that asks all the time keeps nobody else waiting; `http` serves what [`Guests`] opens.

mod facts;
mod socket;

use std::collections::HashMap;
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rlxc_api::GuestEvent;
use rlxc_sys::chain::chain;
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

pub use facts::{Facts, INSTANCE_ID, READY, is_another_machine, is_enabled};

use crate::app::instance;
use crate::context::{App, blocking};
use crate::db::instances;
use crate::error::{Error, Result};
use crate::model::Instance;
use crate::plan::expand::Expanded;
use crate::plan::idmap;

/// A listener that is this many events behind loses the oldest.
const BACKLOG: usize = 64;

/// One instance whose guest API is open.
#[derive(Debug)]
pub struct Guest {
    id: i64,
    facts: Mutex<Arc<Facts>>,
    events: broadcast::Sender<Arc<GuestEvent>>,
    closed: CancellationToken,
}

impl Guest {
    /// What it is told.
    pub fn facts(&self) -> Arc<Facts> {
        Arc::clone(&lock(&self.facts))
    }

    /// Listens to changes from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<GuestEvent>> {
        self.events.subscribe()
    }

    /// Is cancelled when its API is closed.
    pub fn closed(&self) -> &CancellationToken {
        &self.closed
    }

    fn learn(&self, app: &App, facts: &Arc<Facts>) {
        let before = std::mem::replace(&mut *lock(&self.facts), Arc::clone(facts));
        for (kind, metadata) in facts.changes(&before) {
            let event = GuestEvent {
                timestamp: rlxc_api::Timestamp(app.now()),
                kind: kind.to_owned(),
                metadata,
            };
            // Nobody listening is no error.
            drop(self.events.send(Arc::new(event)));
        }
    }

    /// The guest says whether it is ready for what it is there for.
    pub async fn tell_ready(&self, app: &Arc<App>, ready: bool) -> Result<()> {
        let facts = self.facts();
        if facts.ready == ready {
            return Ok(());
        }
        *lock(&self.facts) = Arc::new(Facts {
            ready,
            ..Facts::clone(&facts)
        });
        let (id, value) = (self.id, ready.to_string());
        app.db
            .note(move |tx| Ok::<_, Error>(instances::set_keys(tx, id, &[(READY, value)])?))
            .await?;
        if ready {
            app.instance_event("instance-ready", &facts.project, &facts.name, None);
        }
        Ok(())
    }
}

/// A socket to be served.
#[derive(Debug)]
pub struct Opened {
    /// Whose.
    pub guest: Arc<Guest>,
    /// Where it comes in.
    pub listener: UnixListener,
}

/// All instances whose guest API is open.
#[derive(Debug)]
pub struct Guests {
    open: Mutex<HashMap<i64, Arc<Guest>>>,
    opened: mpsc::UnboundedSender<Opened>,
    incoming: Mutex<Option<mpsc::UnboundedReceiver<Opened>>>,
}

impl Default for Guests {
    fn default() -> Self {
        let (opened, incoming) = mpsc::unbounded_channel();
        Self {
            open: Mutex::default(),
            opened,
            incoming: Mutex::new(Some(incoming)),
        }
    }
}

impl Guests {
    /// The sockets that are opened; for whoever serves them, once.
    pub fn take_incoming(&self) -> Option<mpsc::UnboundedReceiver<Opened>> {
        lock(&self.incoming).take()
    }

    fn get(&self, id: i64) -> Option<Arc<Guest>> {
        lock(&self.open).get(&id).cloned()
    }

    /// Ends the guest API of an instance that stops, or that is to have none.
    pub fn close(&self, app: &App, id: i64) {
        let Some(guest) = lock(&self.open).remove(&id) else {
            return;
        };
        guest.closed.cancel();
        let directory = app.places.instance_guest(id);
        if let Err(error) = socket::remove_from(&directory) {
            tracing::warn!(directory = %directory.display(), %error, "the socket of a guest API stays");
        }
    }
}

/// Opens the guest API of an instance that starts, runs on, or was changed, and tells the guest what is new; closes it
/// where the configuration wants none. Its directory is there in any case: it is mounted in the guest.
pub async fn open(app: &Arc<App>, instance: &Instance, expanded: &Expanded) -> Result<()> {
    let (id, directory) = (instance.id, app.places.instance_guest(instance.id));
    let facts = Arc::new(Facts::of(instance, expanded));
    if !is_enabled(&expanded.config) {
        app.guests.close(app, id);
        return blocking(move || socket::make_directory(&directory))
            .await
            .map_err(failed);
    }
    if let Some(guest) = app.guests.get(id) {
        guest.learn(app, &facts);
        return Ok(());
    }
    let ids = idmap::map(instance, &expanded.config).map_err(Error::Invalid)?;
    // Root of a privileged instance is the host's.
    let uid = ids.and_then(|ids| ids.host_uid(0)).unwrap_or(0);
    let listener = blocking(move || {
        socket::make_directory(&directory)?;
        socket::listen(&directory, uid)
    })
    .await
    .map_err(failed)?;
    let guest = Arc::new(Guest {
        id,
        facts: Mutex::new(facts),
        events: broadcast::channel(BACKLOG).0,
        closed: CancellationToken::new(),
    });
    lock(&app.guests.open).insert(id, Arc::clone(&guest));
    // Nobody serves when the daemon is ending.
    drop(app.guests.opened.send(Opened { guest, listener }));
    Ok(())
}

/// Brings the guest API of an instance up to date with its configuration, if it runs.
pub async fn refresh(app: &Arc<App>, id: i64) {
    if app.instances.status(id).running.is_none() {
        return;
    }
    let opened = async {
        let (instance, expanded) = instance::load(app, id).await?;
        open(app, &instance, &expanded).await
    };
    if let Err(error) = opened.await {
        tracing::warn!(instance = id, error = %chain(&error), "the guest API is not up to date");
    }
}

fn failed(error: std::io::Error) -> Error {
    Error::failed("open the guest API", error)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
