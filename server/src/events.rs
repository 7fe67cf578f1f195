//! The event bus behind `/1.0/events`: whoever listens gets it, nobody is waited for. Memory is bounded: an event is kept once
//! for all listeners, and whoever is too far behind loses the oldest.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rlxc_api::{Event, EventLifecycle, EventLogging, Operation, Requestor, Timestamp};
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
    log_listeners: Arc<AtomicUsize>,
}

/// Counts as one who wants to hear the log, as long as it lives.
#[derive(Debug)]
pub struct LogListener(Arc<AtomicUsize>);

impl Drop for LogListener {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
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
            log_listeners: Arc::default(),
        }
    }

    /// Listens from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.sender.subscribe()
    }

    /// Says that the log is wanted, until what this returns is dropped: nobody pays for a log that nobody hears.
    pub fn listen_to_log(&self) -> LogListener {
        self.log_listeners.fetch_add(1, Ordering::Relaxed);
        LogListener(Arc::clone(&self.log_listeners))
    }

    /// Whether anybody hears the log.
    pub fn is_log_heard(&self) -> bool {
        self.log_listeners.load(Ordering::Relaxed) > 0
    }

    /// Tells a line of the log.
    pub fn logging(&self, line: &EventLogging) {
        self.send("logging", "", serde_json::to_value(line));
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
