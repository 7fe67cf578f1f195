//! The event bus behind `/1.0/events`: whoever listens gets it, nobody is waited for.

use std::collections::BTreeMap;
use std::sync::Arc;

use rlxc_api::{Event, EventLifecycle, Operation, Requestor, Timestamp};
use serde_json::Value;
use tokio::sync::broadcast;

use crate::clock::{self, Clock};

/// A listener that is this many events behind loses the oldest.
const BACKLOG: usize = 1024;

/// Sends events to all listeners.
#[derive(Debug, Clone)]
pub struct Events {
    sender: broadcast::Sender<Arc<Event>>,
    clock: Arc<dyn Clock>,
}

/// Something that happened to a resource; see LXD's list of lifecycle events.
#[derive(Debug)]
pub struct Lifecycle<'a> {
    /// Such as `instance-started`.
    pub action: &'a str,
    /// The resource's URL.
    pub source: String,
    /// Its project.
    pub project: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Who caused it.
    pub requestor: Option<Requestor>,
    /// More about it.
    pub context: BTreeMap<String, Value>,
}

impl Events {
    /// A bus without listeners.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            sender: broadcast::channel(BACKLOG).0,
            clock,
        }
    }

    /// Listens from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.sender.subscribe()
    }

    /// Tells that an operation changed.
    pub fn operation(&self, operation: &Operation, project: &str) {
        if self.sender.receiver_count() > 0 {
            self.send("operation", project, serde_json::to_value(operation));
        }
    }

    /// Tells that something happened to a resource.
    pub fn lifecycle(&self, event: Lifecycle<'_>) {
        tracing::info!(action = event.action, source = %event.source, "lifecycle");
        if self.sender.receiver_count() > 0 {
            let metadata = EventLifecycle {
                action: event.action.to_owned(),
                source: event.source,
                context: event.context,
                requestor: event.requestor,
                name: event.name.to_owned(),
                project: event.project.to_owned(),
            };
            self.send("lifecycle", event.project, serde_json::to_value(metadata));
        }
    }

    fn send(&self, kind: &str, project: &str, metadata: Result<Value, serde_json::Error>) {
        let event = Event {
            kind: kind.to_owned(),
            timestamp: Timestamp(clock::format(self.clock.now())),
            metadata: metadata.unwrap_or(Value::Null),
            location: String::new(),
            project: project.to_owned(),
        };
        // Nobody listening is no error.
        drop(self.sender.send(Arc::new(event)));
    }
}
