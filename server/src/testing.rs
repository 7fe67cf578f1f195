//! A daemon without a host for tests: a real store on a temporary directory, the inventory in memory, everything that would
//! touch the kernel a fake.

mod every_step;
mod faults;
mod seams;
mod storage;
mod world;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request};
use http_body_util::BodyExt as _;
use rlxc_container::cgroup::Layout;
use rlxc_network::Links as _;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::app::apparmor::AppArmor;
use crate::app::network::Networking;
use crate::app::pool::Pools;
use crate::clock::{Clock, SystemClock};
use crate::context::App;
use crate::db::Db;
use crate::events::Events;
use crate::http;
use crate::instance::{Exit, Registry};
use crate::keyed::KeyedMutex;
use crate::operation::Operations;
use crate::places::Places;
use crate::plan::idmap::Span;
use crate::reconcile;

pub(crate) use every_step::{EveryStep, Request as Call};
pub(crate) use faults::{Fault, Faults};
pub(crate) use seams::FakeHost;
pub(crate) use world::World;

use seams::Life;
use storage::FaultyOpener;

/// The daemon, and its directory, which goes with it.
#[derive(Debug)]
pub(crate) struct TestDaemon {
    /// What handlers get.
    pub(crate) app: Arc<App>,
    /// What is there without it too.
    pub(crate) host: Arc<FakeHost>,
    /// What goes wrong in this life of it.
    pub(crate) faults: Arc<Faults>,
    /// Ends of init that nobody asked for.
    pub(crate) ended: mpsc::UnboundedReceiver<Exit>,
    directory: tempfile::TempDir,
}

impl TestDaemon {
    /// One with a pool `default` of the driver `dir`, and a root disk in the profile `default`.
    pub(crate) async fn with_pool() -> Self {
        let daemon = Self::new();
        daemon
            .ok(
                Method::POST,
                "/1.0/storage-pools",
                json!({"name": "default", "driver": "dir"}),
            )
            .await;
        let root = json!({"root": {"type": "disk", "path": "/", "pool": "default"}});
        daemon
            .ok(
                Method::PATCH,
                "/1.0/profiles/default",
                json!({"devices": root}),
            )
            .await;
        daemon
    }

    /// An empty one.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let places = Places::new(directory.path());
        for path in [
            places.images(),
            places.scratch(),
            places.dir().join("storage-pools"),
        ] {
            std::fs::create_dir_all(path).unwrap();
        }
        std::fs::create_dir_all(directory.path().join("database")).unwrap();
        let host = Arc::new(FakeHost::default());
        let (app, faults, ended) = build(places, &host);
        Self {
            app,
            host,
            faults,
            ended,
            directory,
        }
    }

    /// The same directory and the same host under a new daemon; the old one is dead. Its start-up is that of the real one.
    pub(crate) async fn restart(&mut self) {
        self.restart_with(None).await;
    }

    /// The same, and something goes wrong in the new life.
    pub(crate) async fn restart_with(&mut self, fault: Option<(usize, Fault)>) {
        self.faults.kill();
        self.app.tasks.close();
        self.app.tasks.wait().await;
        let (app, faults, ended) = build(Places::new(self.directory.path()), &self.host);
        let old = std::mem::replace(&mut self.app, app);
        assert_eq!(
            Arc::strong_count(&old),
            1,
            "somebody holds on to a dead daemon"
        );
        drop(old);
        (self.faults, self.ended) = (faults, ended);
        self.faults.arm(fault);
        crate::daemon::recover(&self.app).await.unwrap();
        crate::app::instance::adopt_running(&self.app)
            .await
            .unwrap();
    }

    /// The host goes down a moment after the last answer, when all that it led to is written, and takes every container along.
    pub(crate) async fn host_goes_down(&mut self) {
        self.settle_notes().await;
        self.host = Arc::default();
    }

    /// Counts steps from now on and lets one of them go wrong; see [`Faults::arm`].
    pub(crate) async fn arm(&self, fault: Option<(usize, Fault)>) {
        self.settle_notes().await;
        self.faults.arm(fault);
    }

    /// Waits until what nobody waits for is written: a read comes after all that was queued before it.
    async fn settle_notes(&self) {
        drop(self.journal().await);
    }

    /// What the reconciler does now and then.
    pub(crate) async fn reconcile(&self) {
        reconcile::once(&self.app).await;
    }

    /// What the journal holds.
    pub(crate) async fn journal(&self) -> Vec<(i64, String)> {
        self.app.db.read(crate::db::journal::list).await.unwrap()
    }

    /// Kinds of the warnings that are not resolved, with what they are about.
    pub(crate) async fn warnings(&self) -> Vec<(String, String)> {
        let all = self
            .app
            .db
            .read(|tx| crate::db::warnings::list(tx, None))
            .await
            .unwrap();
        all.into_iter()
            .filter(|warning| warning.status != "resolved")
            .map(|warning| (warning.kind, warning.entity_url))
            .collect()
    }

    /// Lets namespaces take their veth pairs along, as the kernel does a moment after the last process.
    pub(crate) async fn let_veths_die(&self) {
        for link in self.host.links.list().await.unwrap() {
            if link.kind.as_deref() == Some("veth") {
                self.host.links.detach_nic(&link.name).await.unwrap();
            }
        }
    }

    /// Makes the cgroup of an instance, whose processes freeze as soon as they are told to.
    pub(crate) fn make_cgroup(&self, instance: i64) {
        let path = self.app.cgroup(instance).path();
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("cgroup.events"), "populated 1\nfrozen 1\n").unwrap();
        std::fs::write(path.join("cgroup.freeze"), "0\n").unwrap();
    }

    /// Its directory.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// What is in one of its directories, sorted.
    pub(crate) fn list(&self, directory: &str) -> Vec<String> {
        let names = std::fs::read_dir(self.path().join(directory)).unwrap();
        let mut names: Vec<_> = names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Sends a request as root on the unix socket; gives back the HTTP status, the headers and the body.
    pub(crate) async fn send(
        &self,
        mut request: Request<Body>,
    ) -> (u16, axum::http::HeaderMap, Vec<u8>) {
        request.extensions_mut().insert(http::root_peer());
        self.answer(request).await
    }

    /// Sends a request of whoever it says; gives back the HTTP status and the body.
    pub(crate) async fn send_as_is(&self, request: Request<Body>) -> (u16, Vec<u8>) {
        let (status, _, body) = self.answer(request).await;
        (status, body)
    }

    /// Sends JSON and gives back the status and the reply, without waiting for an operation.
    pub(crate) async fn call_async(&self, method: Method, url: &str, body: Value) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(url)
            .body(Body::from(body.to_string()))
            .unwrap();
        let (status, _, body) = self.send(request).await;
        (status, serde_json::from_slice(&body).unwrap())
    }

    async fn answer(&self, request: Request<Body>) -> (u16, axum::http::HeaderMap, Vec<u8>) {
        let response = http::router(&self.app).oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (parts.status.as_u16(), parts.headers, body.to_vec())
    }

    /// Sends JSON and gives back the status and the reply.
    pub(crate) async fn call(&self, method: Method, url: &str, body: Value) -> (u16, Value) {
        let body = if body.is_null() {
            Body::empty()
        } else {
            Body::from(body.to_string())
        };
        let request = Request::builder()
            .method(method)
            .uri(url)
            .body(body)
            .unwrap();
        self.reply(request).await
    }

    /// Sends a request and waits for its operation, which stands in place of the metadata then.
    pub(crate) async fn reply(&self, request: Request<Body>) -> (u16, Value) {
        let (status, _, body) = self.send(request).await;
        let mut reply: Value = serde_json::from_slice(&body).unwrap();
        if let Some(id) = reply["metadata"]["id"].as_str().filter(|_| status == 202) {
            let ended = self.app.operations.wait(id, None).await.unwrap();
            reply["metadata"] = serde_json::to_value(ended).unwrap();
        }
        (status, reply)
    }

    /// Sends JSON and gives back the metadata of a success, or of the operation, which must succeed.
    pub(crate) async fn ok(&self, method: Method, url: &str, body: Value) -> Value {
        let (status, mut reply) = self.call(method, url, body).await;
        assert!((200..300).contains(&status), "{url}: {reply}");
        if status == 202 {
            assert_eq!(reply["metadata"]["err"], "", "{url}");
        }
        reply["metadata"].take()
    }

    /// Sends JSON and gives back the error of the reply or of its operation.
    pub(crate) async fn refused(&self, method: Method, url: &str, body: Value) -> String {
        let (status, reply) = self.call(method, url, body).await;
        let text = if status == 202 {
            &reply["metadata"]["err"]
        } else {
            &reply["error"]
        };
        let text = text.as_str().unwrap_or_default().to_owned();
        assert!(!text.is_empty(), "{url}: {reply}");
        text
    }
}

impl Drop for TestDaemon {
    fn drop(&mut self) {
        // Only what was started leaves something there.
        drop(std::fs::remove_dir_all(self.app.places.run()));
    }
}

fn build(
    places: Places,
    host: &Arc<FakeHost>,
) -> (Arc<App>, Arc<Faults>, mpsc::UnboundedReceiver<Exit>) {
    let faults = Arc::new(Faults::default());
    let life = Arc::new(Life {
        host: Arc::clone(host),
        faults: Arc::clone(&faults),
    });
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let db = Db::open(&places.database()).unwrap();
    faults::guard(&db, &faults);
    let events = Events::new(Arc::clone(&clock));
    let tasks = TaskTracker::new();
    let (exits, ended) = mpsc::unbounded_channel();
    let operations = Operations::new(
        db.clone(),
        events.clone(),
        Arc::clone(&clock),
        tasks.clone(),
    );
    let app = Arc::new(App {
        runtime: Arc::<Life>::clone(&life),
        cgroups: Layout {
            unified: places.dir().join("cgroup"),
            legacy: BTreeMap::new(),
            hierarchies: Vec::new(),
        },
        host: seams::host_facts(),
        apparmor: AppArmor::none(),
        storage_drivers: rlxc_storage::DRIVERS.to_vec(),
        pinning: crate::app::instance::Pinning::default(),
        devices_changed: tokio::sync::Notify::new(),
        id_ranges: vec![Span {
            first: 1_000_000,
            count: 65_536 * 100,
        }],
        instances: Registry::new(exits),
        pools: Pools::new(Arc::new(FaultyOpener(Arc::clone(&faults)))),
        image_locks: KeyedMutex::default(),
        edits: KeyedMutex::default(),
        volume_locks: KeyedMutex::default(),
        roots: crate::files::Roots::default(),
        guests: crate::guest::Guests::default(),
        image_checks: crate::app::image::Checks::default(),
        trust: crate::trust::Trust::new(places.dir().to_owned()),
        dns: crate::dns::Dns::default(),
        closing: CancellationToken::new(),
        shutdown: CancellationToken::new(),
        networking: Networking::new(Arc::<Life>::clone(&life), Arc::<Life>::clone(&life), life),
        places,
        db,
        clock,
        events,
        operations,
        tasks,
    });
    (app, faults, ended)
}
