//! Operations: work that goes on after the request was answered.
//!
//! ```text
//!  spawn ──▶ Running ──▶ Success | Failure | Cancelled        each change: watch → event bus; start and end: row
//! ```
//! A finished operation stays in memory for a while, and as a row for as long as `RETENTION` says.

mod live;
mod record;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use rlxc_api::{Operation, Requestor, StatusCode};
use rlxc_sys::chain::chain;
use serde_json::Value;
use tokio_util::task::TaskTracker;

pub use live::{Handle, Sockets};

use crate::clock::{self, Clock};
use crate::db::{self, Db};
use crate::error::{Error, Result};
use crate::events::{Events, Lifecycle};

/// How long a finished operation is answered from memory; later from its row.
const IN_MEMORY: Duration = Duration::from_secs(300);

/// What kind of operation: clients treat them differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Work.
    Task,
    /// Work that talks over websockets.
    Websocket,
    /// Waits to be claimed with a secret.
    Token,
}

impl Class {
    fn text(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Websocket => "websocket",
            Self::Token => "token",
        }
    }
}

/// An operation about to begin.
#[derive(Debug)]
pub struct OperationSpec {
    /// Its class.
    pub class: Class,
    /// What it does, such as `Creating instance`.
    pub description: &'static str,
    /// Project of what it is about.
    pub project: String,
    /// URLs by plural kind.
    pub resources: BTreeMap<String, Vec<String>>,
    /// What clients see from the start.
    pub metadata: BTreeMap<String, Value>,
    /// Whether `DELETE` may end it.
    pub may_cancel: bool,
    /// Whether its end is in the database before it is reported.
    pub noted: Noted,
    /// Who asked.
    pub requestor: Option<Requestor>,
}

/// When the end of an operation is written to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// Before it is reported: the next daemon knows of it, however this one ends.
    First,
    /// Soon.
    Later,
}

impl OperationSpec {
    /// A task on one resource.
    pub fn task(description: &'static str, project: &str, kind: &str, url: &str) -> Self {
        let mut resources = BTreeMap::from([(kind.to_owned(), vec![url.to_owned()])]);
        if kind == "instances" {
            // Clients of LXD 4 and older look here.
            resources.insert(
                "containers".to_owned(),
                vec![url.replacen("/1.0/instances", "/1.0/containers", 1)],
            );
        }
        Self {
            class: Class::Task,
            description,
            project: project.to_owned(),
            resources,
            metadata: BTreeMap::new(),
            may_cancel: false,
            noted: Noted::First,
            requestor: None,
        }
    }

    /// The same, asked for by somebody.
    #[must_use]
    pub fn requested_by(mut self, requestor: &Requestor) -> Self {
        self.requestor = Some(requestor.clone());
        self
    }

    /// The same, of which a death of the daemon right after its end may leave no trace.
    #[must_use]
    pub fn relaxed(mut self) -> Self {
        self.noted = Noted::Later;
        self
    }

    /// The same, and `DELETE` may end it.
    #[must_use]
    pub fn cancellable(mut self) -> Self {
        self.may_cancel = true;
        self
    }
}

/// The most that a list holds.
const MOST_LISTED: i64 = 10_000;

/// Which operations a list should hold.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Of this project, and those of none; of all where it is not said.
    pub project: Option<String>,
    /// Those that are over too.
    pub ended: bool,
    /// Only those that touched this, by its path; also under the names that an instance had before.
    pub resource: Option<String>,
    /// Only those of these projects, and none of the server; of all where it is not said.
    pub reach: Option<BTreeSet<String>>,
}

/// All operations of the daemon.
#[derive(Debug, Clone)]
pub struct Operations {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    live: Mutex<HashMap<String, Handle>>,
    db: Db,
    events: Events,
    clock: Arc<dyn Clock>,
    tasks: TaskTracker,
}

impl Operations {
    /// None yet.
    pub fn new(db: Db, events: Events, clock: Arc<dyn Clock>, tasks: TaskTracker) -> Self {
        Self {
            inner: Arc::new(Inner {
                live: Mutex::default(),
                db,
                events,
                clock,
                tasks,
            }),
        }
    }

    /// Begins an operation; `work` gets its handle and returns what is merged into its metadata.
    pub fn spawn<F, W>(&self, spec: OperationSpec, work: W) -> Operation
    where
        W: FnOnce(Handle) -> F,
        F: Future<Output = Result<BTreeMap<String, Value>>> + Send + 'static,
    {
        self.spawn_as(self.next_id(), spec, work)
    }

    /// The id of an operation to come, for what must name it before it begins.
    pub fn next_id(&self) -> String {
        self.inner.clock.uuid().to_string()
    }

    /// The same as [`Self::spawn`], under an id of [`Self::next_id`].
    pub fn spawn_as<F, W>(&self, id: String, spec: OperationSpec, work: W) -> Operation
    where
        W: FnOnce(Handle) -> F,
        F: Future<Output = Result<BTreeMap<String, Value>>> + Send + 'static,
    {
        let noted = spec.noted;
        let handle = self.register(id, spec, self.now());
        let view = handle.view();
        let future = work(handle.clone());
        let this = self.clone();
        self.inner.tasks.spawn(async move {
            // What panics has dropped what it held on its way up; its operation must not stay open for ever.
            let result = AssertUnwindSafe(future).catch_unwind().await;
            let result = result.unwrap_or_else(|_panic| Err(Error::internal("it panicked")));
            this.finish(&handle, noted, result).await;
        });
        view
    }

    fn now(&self) -> String {
        clock::format(self.inner.clock.now())
    }

    fn register(&self, id: String, spec: OperationSpec, began: String) -> Handle {
        let inner = &self.inner;
        let handle = Handle::new(id.clone(), spec, began, inner.events.clone());
        self.lock().insert(id, handle.clone());
        let row = handle.record();
        inner.db.post(move |tx| db::operations::upsert(tx, &row));
        inner.events.operation(&handle.view(), handle.project());
        handle
    }

    /// Begins an operation that has no work of its own, under an id of [`Self::next_id`]: [`Self::close`] ends it.
    pub fn open(&self, id: String, spec: OperationSpec) -> Handle {
        self.register(id, spec, self.now())
    }

    /// The same for one that began at some time before, maybe under another daemon.
    pub fn open_since(&self, id: String, spec: OperationSpec, began: String) -> Handle {
        self.register(id, spec, began)
    }

    /// Ends an operation of [`Self::open`].
    pub async fn close(&self, handle: &Handle, result: Result<BTreeMap<String, Value>>) {
        self.finish(handle, Noted::First, result).await;
    }

    async fn finish(&self, handle: &Handle, noted: Noted, result: Result<BTreeMap<String, Value>>) {
        let (status, metadata, error) = match result {
            Ok(metadata) => (StatusCode::Success, metadata, String::new()),
            Err(Error::Cancelled) => (
                StatusCode::Cancelled,
                BTreeMap::new(),
                Error::Cancelled.to_string(),
            ),
            Err(error) => {
                tracing::warn!(operation = handle.id(), description = handle.description(), error = %chain(&error), "operation failed");
                (
                    StatusCode::Failure,
                    BTreeMap::new(),
                    chain(&error).to_string(),
                )
            }
        };
        let now = clock::format(self.inner.clock.now());
        let ended = handle.ended(status, metadata, error, now);
        let row = handle.record_of(&ended);
        let write = move |tx: &rusqlite::Transaction<'_>| db::operations::upsert(tx, &row);
        match noted {
            Noted::First => {
                if let Err(error) = self.inner.db.note(write).await {
                    tracing::error!(operation = handle.id(), error = %chain(&error), "the end of an operation is not recorded");
                }
            }
            Noted::Later => self.inner.db.post(write),
        }
        handle.publish(ended);
        self.forget_later(handle.id().to_owned());
    }

    fn forget_later(&self, id: String) {
        let this = Arc::downgrade(&self.inner);
        // Not tracked: shutting down need not wait for a clean-up of memory.
        tokio::spawn(async move {
            tokio::time::sleep(IN_MEMORY).await;
            if let Some(inner) = this.upgrade() {
                inner
                    .live
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .remove(&id);
            }
        });
    }

    /// One operation, live or remembered.
    pub async fn find(&self, id: &str) -> Result<Operation> {
        if let Some(handle) = self.live(id) {
            return Ok(handle.view());
        }
        let key = id.to_owned();
        let row = self
            .inner
            .db
            .read(move |tx| db::operations::find(tx, &key))
            .await?;
        row.map(record::render)
            .ok_or_else(|| Error::not_found("operation", id))
    }

    /// The project of an operation, live or remembered.
    pub async fn project_of(&self, id: &str) -> Result<Option<String>> {
        if let Some(handle) = self.live(id) {
            return Ok(Some(handle.project().to_owned()));
        }
        let key = id.to_owned();
        let row = self
            .inner
            .db
            .read(move |tx| db::operations::find(tx, &key))
            .await?;
        Ok(row.map(|row| row.project))
    }

    /// A live operation.
    pub fn live(&self, id: &str) -> Option<Handle> {
        self.lock().get(id).cloned()
    }

    /// A live operation of which something is true.
    pub fn find_live(&self, fits: impl Fn(&Handle) -> bool) -> Option<Handle> {
        // Not under the lock: what is asked of an operation may take locks of its own.
        let live: Vec<Handle> = self.lock().values().cloned().collect();
        live.into_iter().find(fits)
    }

    /// Operations, the oldest first. Those that are over come from their rows, in one query.
    pub async fn list(&self, wanted: Wanted) -> Result<Vec<Operation>> {
        let of_project = |project: &str| {
            let mine = wanted.project.as_deref();
            let meant = project.is_empty() || mine.is_none_or(|mine| mine == project);
            let reach = wanted.reach.as_ref();
            meant && reach.is_none_or(|reach| reach.contains(project))
        };
        let live: HashMap<String, Handle> = self.lock().clone();
        if !wanted.ended {
            let mut views: Vec<Operation> = live
                .values()
                .filter(|handle| of_project(handle.project()))
                .map(Handle::view)
                .filter(|view| !view.is_final())
                .collect();
            views.sort_by(|a, b| a.created_at.cmp(&b.created_at));
            return Ok(views);
        }
        let resource = wanted.resource.clone();
        let rows = self
            .inner
            .db
            .read(move |tx| match resource {
                Some(path) => db::operations::list_touching(tx, &path, MOST_LISTED),
                None => db::operations::list(tx, MOST_LISTED),
            })
            .await?;
        Ok(rows
            .into_iter()
            .filter(|row| of_project(&row.project))
            // What goes on has news that the row does not have.
            .map(|row| match live.get(&row.id) {
                Some(handle) => handle.view(),
                None => record::render(row),
            })
            .collect())
    }

    /// Waits until it ends, at most `limit`.
    pub async fn wait(&self, id: &str, limit: Option<Duration>) -> Result<Operation> {
        let Some(handle) = self.live(id) else {
            return self.find(id).await;
        };
        match limit {
            Some(limit) => Ok(tokio::time::timeout(limit, handle.wait())
                .await
                .unwrap_or_else(|_elapsed| handle.view())),
            None => Ok(handle.wait().await),
        }
    }

    /// Asks it to end.
    pub fn cancel(&self, id: &str, who: &Requestor) -> Result<()> {
        let handle = self
            .live(id)
            .ok_or_else(|| Error::not_found("operation", id))?;
        if handle.view().is_final() {
            return Err(Error::not_found("operation", id));
        }
        if !handle.may_cancel() {
            return Err(Error::Invalid(
                "this operation can't be cancelled".to_owned(),
            ));
        }
        handle.cancel();
        self.inner.events.lifecycle(Lifecycle {
            action: "operation-cancelled",
            source: handle.view().url(),
            project: handle.project(),
            name: id,
            requestor: Some(who.clone()),
            context: BTreeMap::new(),
        });
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Handle>> {
        self.inner
            .live
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
