//! One operation while the daemon knows it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::ws::WebSocket;
use rlxc_api::{Operation, Requestor, StatusCode, Timestamp};
use rlxc_sys::interrupt;
use serde_json::Value;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::{Class, OperationSpec, record};
use crate::context::blocking;
use crate::db::operations::OperationRecord;
use crate::error::{Cause, Error, Result};
use crate::events::Events;

/// The secrets of a websocket operation, each good for one connection.
pub type Sockets = HashMap<String, oneshot::Sender<WebSocket>>;

/// A handle to a live operation; cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    inner: Arc<Live>,
}

#[derive(Debug)]
struct Live {
    id: String,
    project: String,
    description: &'static str,
    requestor: Option<Requestor>,
    may_cancel: bool,
    view: watch::Sender<Operation>,
    cancel: CancellationToken,
    sockets: Mutex<Sockets>,
    is_websocket: bool,
    events: Events,
}

impl Handle {
    pub(super) fn new(id: String, spec: OperationSpec, now: String, events: Events) -> Self {
        let view = Operation {
            id: id.clone(),
            class: spec.class.text().to_owned(),
            description: spec.description.to_owned(),
            created_at: Timestamp(now.clone()),
            updated_at: Timestamp(now),
            status: StatusCode::Running.text().to_owned(),
            status_code: StatusCode::Running,
            resources: spec.resources,
            metadata: Some(spec.metadata).filter(|metadata| !metadata.is_empty()),
            may_cancel: spec.may_cancel,
            err: String::new(),
            location: "none".to_owned(),
            requestor: spec.requestor.clone(),
        };
        let live = Live {
            id,
            project: spec.project,
            description: spec.description,
            requestor: spec.requestor,
            may_cancel: spec.may_cancel,
            view: watch::Sender::new(view),
            cancel: CancellationToken::new(),
            sockets: Mutex::default(),
            is_websocket: spec.class == Class::Websocket,
            events,
        };
        Self {
            inner: Arc::new(live),
        }
    }

    /// Its UUID.
    pub fn id(&self) -> &str {
        &self.inner.id
    }

    /// The project of what it is about.
    pub fn project(&self) -> &str {
        &self.inner.project
    }

    /// What it does.
    pub fn description(&self) -> &'static str {
        self.inner.description
    }

    /// Who asked for it.
    pub fn requestor(&self) -> Option<Requestor> {
        self.inner.requestor.clone()
    }

    /// What clients see now.
    pub fn view(&self) -> Operation {
        self.inner.view.borrow().clone()
    }

    /// Whether it is a task that works; tokens and sessions wait for somebody, perhaps for ever.
    pub fn is_working(&self) -> bool {
        let view = self.inner.view.borrow();
        view.class == Class::Task.text() && !view.is_final()
    }

    /// Whether `DELETE` may end it.
    pub fn may_cancel(&self) -> bool {
        self.inner.may_cancel
    }

    /// Asks it to end.
    pub fn cancel(&self) {
        self.inner.cancel.cancel();
    }

    /// Is cancelled when somebody asked it to end.
    pub fn cancellation(&self) -> &CancellationToken {
        &self.inner.cancel
    }

    /// Does synchronous work on a thread made for it. It ends early when somebody asks for the end of the operation; what it has
    /// made until then is for the caller to undo. `what` names the work in an error.
    pub async fn blocking<T, E, F>(&self, what: String, work: F) -> Result<T>
    where
        T: Send + 'static,
        E: Into<Cause>,
        F: FnOnce() -> std::result::Result<T, E> + Send + 'static,
    {
        let cancel = self.cancellation().clone();
        let done = blocking(move || {
            let is_asked = move || cancel.is_cancelled();
            interrupt::scope(is_asked, || work().map_err(Into::into))
        });
        let done: std::result::Result<T, Cause> = done.await;
        done.map_err(|source| match self.check() {
            Err(cancelled) => cancelled,
            Ok(()) => Error::Failed { what, source },
        })
    }

    /// Fails if somebody has asked for its end.
    pub fn check(&self) -> Result<()> {
        if self.cancellation().is_cancelled() {
            return Err(Error::Cancelled);
        }
        Ok(())
    }

    /// Sets a key of the metadata, such as `create_image_progress`, and tells listeners.
    pub fn set(&self, key: &str, value: impl Into<Value>) {
        let value = value.into();
        self.inner.view.send_modify(|view| {
            view.metadata
                .get_or_insert_default()
                .insert(key.to_owned(), value);
        });
        self.inner.events.operation(&self.view(), self.project());
    }

    /// Names a resource that came to be while it ran.
    pub fn add_resource(&self, kind: &str, url: String) {
        self.inner
            .view
            .send_modify(|view| view.resources.entry(kind.to_owned()).or_default().push(url));
    }

    /// Waits until it ends.
    pub async fn wait(&self) -> Operation {
        let mut changes = self.inner.view.subscribe();
        match changes.wait_for(Operation::is_final).await {
            Ok(view) => view.clone(),
            Err(_closed) => self.view(),
        }
    }

    /// Makes room for a websocket and returns what delivers it once a client connects with `secret`.
    pub fn expect_socket(&self, secret: String) -> oneshot::Receiver<WebSocket> {
        let (sender, receiver) = oneshot::channel();
        self.sockets().insert(secret, sender);
        receiver
    }

    /// Uses the secret of an operation without websockets up, which ends the wait for it; tells whether it was still good.
    pub fn use_secret(&self, secret: &str) -> bool {
        self.sockets().remove(secret).is_some()
    }

    /// Whether the place that `secret` opens is still to be taken.
    pub fn awaits_socket(&self, secret: &str) -> bool {
        self.sockets().contains_key(secret)
    }

    /// Takes the place that `secret` opens; each opens once.
    pub fn claim_socket(&self, secret: &str) -> Result<oneshot::Sender<WebSocket>> {
        if !self.inner.is_websocket {
            return Err(Error::Invalid(format!(
                "operation `{}` has no websocket",
                self.inner.id
            )));
        }
        self.sockets().remove(secret).ok_or(Error::Forbidden)
    }

    fn sockets(&self) -> std::sync::MutexGuard<'_, Sockets> {
        self.inner
            .sockets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn ended(
        &self,
        status: StatusCode,
        metadata: BTreeMap<String, Value>,
        error: String,
        now: String,
    ) -> Operation {
        let mut view = self.view();
        status.text().clone_into(&mut view.status);
        view.status_code = status;
        view.updated_at = Timestamp(now);
        view.may_cancel = false;
        view.err = error;
        if !metadata.is_empty() {
            view.metadata.get_or_insert_default().extend(metadata);
        }
        view
    }

    pub(super) fn publish(&self, view: Operation) {
        self.inner.events.operation(&view, self.project());
        self.inner.view.send_replace(view);
        self.sockets().clear();
    }

    pub(super) fn record(&self) -> OperationRecord {
        self.record_of(&self.view())
    }

    pub(super) fn record_of(&self, view: &Operation) -> OperationRecord {
        let requestor = self.inner.requestor.as_ref();
        OperationRecord {
            id: view.id.clone(),
            project: self.inner.project.clone(),
            class: view.class.clone(),
            description: view.description.clone(),
            created_at: view.created_at.0.clone(),
            updated_at: view.updated_at.0.clone(),
            status_code: view.status_code.code(),
            resources: serde_json::to_value(&view.resources).unwrap_or_default(),
            metadata: view
                .metadata
                .as_ref()
                .and_then(|metadata| serde_json::to_value(metadata).ok()),
            error: view.err.clone(),
            requestor: requestor.map_or_else(String::new, record::requestor_text),
        }
    }
}
