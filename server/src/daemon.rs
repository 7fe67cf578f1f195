//! Start-up and shutdown, in order.
//!
//! ```text
//!  lock ▸ database ▸ undo what a crash left ▸ pools ▸ networks ▸ take over running instances ▸ API opens ▸ READY
//!       ▸ start what should run ... signal ▸ API closes ▸ operations end ▸ database closes; instances run on
//! ```

use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rlxc_container::cgroup::{self, Layout};
use rlxc_network::{Dnsmasq, DnsmasqDirs, Nftables, RtnetlinkLinks};
use rlxc_sys::activation::Inherited;
use rlxc_sys::idmap::IDS_PER_CONTAINER;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::apparmor::AppArmor;
use crate::app::network::Networking;
use crate::app::{self, instance, network, pool};
use crate::clock::{Clock, SystemClock};
use crate::context::App;
use crate::db::{self, Db};
use crate::doctor::subid;
use crate::error::{Error, Result};
use crate::events::Events;
use crate::http::{self, UnixSocket, user_socket};
use crate::instance::{Exit, Registry};
use crate::keyed::KeyedMutex;
use crate::lock::DirectoryLock;
use crate::notify::notify;
use crate::operation::Operations;
use crate::places::Places;
use crate::plan::host::HostFacts;
use crate::plan::idmap::Span;
use crate::runtime::MonitorRuntime;
use crate::trust::Trust;
use crate::{reconcile, saga, service};

/// "Power failure": shut all instances down, then end. LXD takes it so too.
const SIGPWR: i32 = 30;
/// How long operations may take to end when the daemon is asked to.
const GRACE: Duration = Duration::from_secs(20);

/// What the daemon is started with.
#[derive(Debug)]
pub struct Options {
    /// Of the inventory, images and pools.
    pub directory: PathBuf,
    /// Whose members may use the socket.
    pub group: String,
    /// Whose members get a project of their own by the socket for users.
    pub user_group: String,
    /// Sockets that a service manager has opened for us.
    pub inherited: Vec<Inherited>,
    /// Where the log goes too.
    pub events: Events,
}

/// Runs the daemon on a directory until a signal ends it.
pub async fn run(options: Options) -> Result<()> {
    let places = prepare_directories(&options.directory)?;
    let _lock = DirectoryLock::take(&places.lock())?;
    let (exits, ended) = mpsc::unbounded_channel();
    let app = build(places, exits, options.events)?;
    recover(&app).await?;
    let to_start = instance::adopt_running(&app).await?;
    // Before others want what was lent.
    network::traces::sweep(&app).await?;
    instance::rebalance(&app).await;
    app.tasks
        .spawn(instance::watch_exits(Arc::clone(&app), ended));
    app.tasks.spawn(reconcile::run(Arc::clone(&app)));
    app.tasks.spawn(app::recover::run(Arc::clone(&app)));
    app.tasks.spawn(http::serve_guests(Arc::clone(&app)));
    app.tasks.spawn(crate::dns::serve(Arc::clone(&app)));
    app.tasks.spawn(app::scheduled::run(Arc::clone(&app)));
    app.tasks.spawn(instance::follow(Arc::clone(&app)));
    app.tasks.spawn(app::image::upkeep::run(Arc::clone(&app)));
    app.tasks.spawn(app::apparmor::prepare(Arc::clone(&app)));
    let groups = (options.group.as_str(), options.user_group.as_str());
    let doors = open_doors(&app, groups, options.inherited).await?;
    tracing::info!(directory = %app.places.dir().display(), "ready");
    notify("READY=1");
    let starter = Arc::clone(&app);
    app.tasks
        .spawn(async move { instance::start_all(&starter, to_start).await });
    let cause = wait_for_end(&app).await?;
    notify("STOPPING=1");
    app.closing.cancel();
    if cause == End::Host {
        instance::shut_down_all(&app, false).await;
    }
    app.shutdown.cancel();
    app.tasks.close();
    if tokio::time::timeout(GRACE, app.tasks.wait()).await.is_err() {
        tracing::warn!("operations were still under way; they are undone at the next start");
    }
    if let Err(error) = app::recover::flush(&app).await {
        tracing::warn!(%error, "descriptions on pools are not up to date");
    }
    remove_what_is_empty(&app);
    for door in doors {
        door.await.map_err(Error::internal)??;
    }
    Ok(())
}

/// Opens the API: to the network first, then here, so that who can connect here finds all the rest in place.
async fn open_doors(
    app: &Arc<App>,
    (group, user_group): (&str, &str),
    inherited: Vec<Inherited>,
) -> Result<Vec<JoinHandle<Result<()>>>> {
    let (mut local, mut remote) = (Vec::new(), Vec::new());
    for socket in inherited {
        match socket {
            Inherited::Unix(socket) => local.push(UnixSocket::inherited(socket)?),
            Inherited::Tcp(socket) => remote.push(socket),
        }
    }
    let tls = http::serve_tls(Arc::clone(app), http::router(app));
    let mut doors = vec![app.tasks.spawn(tls)];
    app.trust.adopt(remote).await?;
    app::server::open_remote(app).await?;
    let own = app.places.socket();
    if !local.iter().any(|socket| socket.path() == own) {
        local.push(UnixSocket::bind(&own, group)?);
    }
    for socket in local {
        let serving = http::serve(socket, http::router(app), app.shutdown.clone());
        doors.push(app.tasks.spawn(serving));
    }
    if let Some(socket) = user_socket::bind(&app.places.user_socket(), user_group)? {
        let serving = user_socket::serve(socket, http::router(app), app.shutdown.clone());
        doors.push(app.tasks.spawn(serving));
    }
    Ok(doors)
}

/// What all instances shared goes with the last of them; what is still in use stays.
fn remove_what_is_empty(app: &App) {
    cgroup::remove_empty(&app.cgroups, Path::new(&app.places.instance_cgroup(0)));
    let run = app.places.run();
    for directory in [
        run.join("instances"),
        app.places.networks_run(),
        run.to_owned(),
    ] {
        if let Err(error) = std::fs::remove_dir(&directory) {
            tracing::debug!(directory = %directory.display(), %error, "a directory stays");
        }
    }
}

/// Undoes what a crash left, and brings up what is there without instances.
pub(crate) async fn recover(app: &Arc<App>) -> Result<()> {
    let now = app.now();
    let orphans = app
        .db
        .note(move |tx| db::operations::fail_unfinished(tx, &now))
        .await?;
    if orphans > 0 {
        tracing::info!(orphans, "operations were under way when the daemon ended");
    }
    pool::open_all(app).await?;
    saga::recover(app).await?;
    network::bring_up_all(app).await
}

/// What ends with the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Nothing else: instances run on.
    Daemon,
    /// The host.
    Host,
}

async fn wait_for_end(app: &App) -> Result<End> {
    let failed = |error| Error::failed("listen for signals", error);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut power = signal(SignalKind::from_raw(SIGPWR)).map_err(failed)?;
    tokio::select! {
        _ = power.recv() => {
            tracing::info!("the host goes down; instances are shut down");
            return Ok(End::Host);
        }
        _ = terminate.recv() => tracing::info!("asked to end; instances run on"),
        _ = interrupt.recv() => tracing::info!("interrupted; instances run on"),
        () = app.shutdown.cancelled() => {}
    }
    Ok(End::Daemon)
}

fn prepare_directories(directory: &Path) -> Result<Places> {
    let failed = |path: &Path| {
        let what = format!("create directory {}", path.display());
        move |error: std::io::Error| Error::failed(what, error)
    };
    let make = |path: &Path, mode: u32| {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(mode)
            .create(path)
            .map_err(failed(path))?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(failed(path))
    };
    make(directory, 0o711)?;
    let directory = directory.canonicalize().map_err(failed(directory))?;
    let places = Places::new(&directory);
    let private = [
        places.images(),
        places.tpms(),
        directory.join("database"),
        directory.join("logs"),
        places.run().join("instances"),
    ];
    let shared = [
        directory.join("storage-pools"),
        places.networks(),
        places.run().to_owned(),
        places.networks_run(),
    ];
    shared.iter().try_for_each(|path| make(path, 0o711))?;
    private.iter().try_for_each(|path| make(path, 0o700))?;
    empty_scratch(&places.scratch());
    make(&places.scratch(), 0o700)?;
    Ok(places)
}

/// Uploads and builds that a crash cut off are nobody's. What was killed with the daemon may still be ending: what can't be
/// removed now is at the next start.
fn empty_scratch(scratch: &Path) {
    const PAUSE: Duration = Duration::from_millis(100);
    for _ in 0..10 {
        match std::fs::remove_dir_all(scratch) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(%error, "unfinished images are not removed yet");
                std::thread::sleep(PAUSE);
            }
            _ => return,
        }
    }
}

fn build(places: Places, exits: mpsc::UnboundedSender<Exit>, events: Events) -> Result<Arc<App>> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let db = Db::open(&places.database())?;
    let tasks = TaskTracker::new();
    let operations = Operations::new(
        db.clone(),
        events.clone(),
        Arc::clone(&clock),
        tasks.clone(),
    );
    let dirs = DnsmasqDirs {
        state: places.networks(),
        run: places.networks_run(),
    };
    let cgroups =
        Layout::detect().map_err(|error| Error::failed("look at the host's cgroups", error))?;
    let networking = Networking::new(
        Arc::new(RtnetlinkLinks),
        Arc::new(Nftables::new(places.prefix())),
        Arc::new(Dnsmasq::new(dirs).in_group(service::helpers(&cgroups, &places))),
    );
    Ok(Arc::new(App {
        runtime: Arc::new(
            MonitorRuntime::open().map_err(|error| Error::failed("find rlxc-monitor", error))?,
        ),
        host: HostFacts::probe(&cgroups),
        cgroups,
        apparmor: AppArmor::detect(),
        storage_drivers: rlxc_storage::drivers_in(places.dir()),
        pinning: instance::Pinning::default(),
        devices_changed: tokio::sync::Notify::new(),
        id_ranges: id_ranges()?,
        instances: Registry::new(exits),
        pools: pool::Pools::default(),
        roots: crate::files::Roots::default(),
        guests: crate::guest::Guests::default(),
        image_locks: KeyedMutex::default(),
        edits: KeyedMutex::default(),
        volume_locks: KeyedMutex::default(),
        image_checks: app::image::Checks::default(),
        trust: Trust::new(places.dir().to_owned()),
        dns: crate::dns::Dns::default(),
        closing: CancellationToken::new(),
        shutdown: CancellationToken::new(),
        places,
        db,
        clock,
        events,
        operations,
        networking,
        tasks,
    }))
}

/// The host ids that instances may have.
fn id_ranges() -> Result<Vec<Span>> {
    // A file that is not there gives nobody anything, as useradd(8) reads it.
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let ranges = subid::choose_ranges(&read("/etc/subuid"), &read("/etc/subgid"));
    if ranges.iter().all(|range| range.count < IDS_PER_CONTAINER) {
        return Err(Error::Unavailable(format!(
            "root has no {IDS_PER_CONTAINER} subordinate ids in both /etc/subuid and /etc/subgid: \
             add a line `root:1000000:1000000000` to each, or take root's lines out of both for the built-in range"
        )));
    }
    Ok(ranges
        .into_iter()
        .map(|range| Span {
            first: range.base,
            count: range.count,
        })
        .collect())
}
