//! The root of an instance, open for as long as requests need it.
//!
//! A stopped instance is mounted once, for all requests that overlap, and can't be started meanwhile: an overlay must
//! not be mounted twice. A verb waits a while for files that are being read or written, see
//! [`crate::instance::InstanceHandle::begin`].

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rlxc_sys::path::open_dir;
use rlxc_sys::pidfd;

use super::owners::Owners;
use super::tree::{Tree, refine};
use crate::app::instance;
use crate::context::{App, blocking};
use crate::error::{Error, Result};
use crate::instance::Permit;
use crate::instance::state::Verb;
use crate::keyed::KeyedMutex;
use crate::model::Instance;
use crate::runtime::Running;
use crate::saga::instance_volume;

/// What a verb is told that has waited for too long.
const OPERATION: &str = "of the files API";

/// Roots of stopped instances that are open now.
#[derive(Debug, Default)]
pub struct Roots {
    open: Mutex<HashMap<i64, Weak<Root>>>,
    opening: KeyedMutex,
}

/// A root, and what keeps it from changing under us.
#[derive(Debug)]
pub(super) struct Root {
    /// `None` only while it is being closed.
    tree: Option<Tree>,
    /// Of an instance that ran when this was opened.
    running: Option<Arc<dyn Running>>,
    /// Of one that did not, to keep it so.
    permit: Option<Permit>,
}

impl Root {
    /// Opens the root of an instance, whatever it does at the moment.
    pub(super) async fn open(app: &Arc<App>, row: &Instance) -> Result<Arc<Self>> {
        if let Some(running) = app.instances.status(row.id).running {
            return Self::of_running(running).await;
        }
        let _opening = app.roots.opening.lock(&row.id.to_string()).await;
        if let Some(root) = app.roots.find(row.id) {
            return Ok(root);
        }
        let handle = app.instances.of(row)?;
        let permit = handle.begin(Verb::Files, &row.name, OPERATION).await?;
        if let Some(running) = permit.running() {
            // It was started meanwhile.
            return Self::of_running(Arc::clone(running)).await;
        }
        let tree = mount(app, row).await?;
        let root = Arc::new(Self {
            tree: Some(tree),
            running: None,
            permit: Some(permit),
        });
        app.roots.add(row.id, &root);
        Ok(root)
    }

    async fn of_running(running: Arc<dyn Running>) -> Result<Arc<Self>> {
        blocking(move || {
            let tree = enter(running.as_ref())?;
            Ok(Arc::new(Self {
                tree: Some(tree),
                running: Some(running),
                permit: None,
            }))
        })
        .await
    }

    pub(super) fn tree(&self) -> Result<&Tree> {
        self.tree.as_ref().ok_or_else(gone)
    }

    /// Waits until the instance ends whose root this is; for ever if it did not run.
    pub(super) async fn ended(&self) {
        match &self.running {
            Some(running) => drop(running.exited().await),
            None => std::future::pending().await,
        }
    }
}

/// Unmounting may write to a disk, and nobody may start the instance before that is over.
impl Drop for Root {
    fn drop(&mut self) {
        let (tree, permit) = (self.tree.take(), self.permit.take());
        let close = move || {
            drop(tree);
            drop(permit);
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(close)),
            Err(_) => close(),
        }
    }
}

impl Roots {
    fn find(&self, id: i64) -> Option<Arc<Root>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(&id).and_then(Weak::upgrade)
    }

    fn add(&self, id: i64, root: &Arc<Root>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, root| root.strong_count() > 0);
        open.insert(id, Arc::downgrade(root));
    }
}

/// What an instance's error is that has ended.
pub(super) fn gone() -> Error {
    Error::Conflict("the instance ended meanwhile".to_owned())
}

/// The root that init sees, the guest's own mounts included.
pub fn root_of(running: &dyn Running) -> Result<OwnedFd> {
    let root = open_dir(&proc(running, "root"));
    // A pid is another process's only after this one has ended.
    if pidfd::has_ended(running.pidfd().as_fd()) {
        return Err(gone());
    }
    root.map_err(refine)
}

fn proc(running: &dyn Running, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{}/{name}", running.init_pid()))
}

fn enter(running: &dyn Running) -> Result<Tree> {
    let maps = ["uid_map", "gid_map"].map(|name| std::fs::read_to_string(proc(running, name)));
    let root = root_of(running)?;
    let [uid_map, gid_map] = maps;
    let failed = |error| Error::failed("read the id map of the instance", error);
    let owners = Owners::parse(&uid_map.map_err(failed)?, &gid_map.map_err(failed)?)
        .ok_or_else(|| Error::Invalid("the id map of the instance can't be read".to_owned()))?;
    Ok(Tree { root, owners })
}

/// The root of a stopped instance, on a mount that is attached nowhere.
async fn mount(app: &App, row: &Instance) -> Result<Tree> {
    let driver = app.pools.get(&row.pool)?;
    let volume = instance_volume(row.id);
    let name = row.name.clone();
    blocking(move || {
        let failed = format!("open the root volume of `{name}`");
        let source = driver
            .root(volume)
            .map_err(|error| Error::failed(&failed, error))?;
        let root: OwnedFd = rlxc_sys::mount::assemble(&source, None)
            .map_err(|error| Error::failed(&failed, error))?;
        Ok(Tree {
            root,
            owners: Owners::AsTheyAre,
        })
    })
    .await
}

/// The root of an instance by name.
pub(super) async fn open(app: &Arc<App>, project: &str, name: &str) -> Result<Arc<Root>> {
    let row = instance::find(app, project, name).await?;
    Root::open(app, &row).await
}
