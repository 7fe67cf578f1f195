//! One test for every operation that has more than one effect: it fails at each step, in each way, and is killed before
//! each step. Then the world is what it was before, or what it is after, and nothing between the two.

use axum::http::Method;
use serde_json::Value;

use super::{Fault, TestDaemon, World};

/// A request to the API.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    method: Method,
    url: String,
    body: Vec<u8>,
    content: &'static str,
}

impl Request {
    pub(crate) fn new(method: Method, url: &str, body: Value) -> Self {
        let body = match body {
            Value::Null => Vec::new(),
            body => body.to_string().into_bytes(),
        };
        Self {
            method,
            url: url.to_owned(),
            body,
            content: "application/json",
        }
    }

    /// A file as the body.
    pub(crate) fn upload(url: &str, body: Vec<u8>) -> Self {
        Self {
            method: Method::POST,
            url: url.to_owned(),
            body,
            content: "application/octet-stream",
        }
    }

    /// Whether it succeeded, and the error if not.
    pub(crate) async fn send(&self, daemon: &TestDaemon) -> Result<(), String> {
        let request = axum::http::Request::builder()
            .method(self.method.clone())
            .uri(&self.url)
            .header("Content-Type", self.content)
            .body(self.body.clone().into())
            .unwrap();
        let (status, reply) = daemon.reply(request).await;
        let text = if status == 202 {
            &reply["metadata"]["err"]
        } else {
            &reply["error"]
        };
        match text.as_str() {
            None | Some("") => Ok(()),
            Some(text) => Err(text.to_owned()),
        }
    }
}

/// What is tested.
pub(crate) struct EveryStep<P> {
    /// Makes the daemon and all that must be there before.
    pub(crate) prepare: P,
    /// The operation.
    pub(crate) request: Request,
    /// Another world that one that failed may leave: what it fetched on the way is kept for the next time.
    pub(crate) fallback: Option<World>,
}

impl<P, F> EveryStep<P>
where
    P: Fn() -> F,
    F: Future<Output = TestDaemon>,
{
    /// Runs them all; returns the names of the steps that were tried.
    pub(crate) async fn run(self) -> Vec<&'static str> {
        let daemon = (self.prepare)().await;
        daemon.arm(None).await;
        self.request.send(&daemon).await.unwrap();
        let after = daemon.world().await;
        let steps = daemon.faults.disarm();
        assert!(
            daemon.journal().await.is_empty(),
            "the journal is not empty"
        );
        drop(daemon);
        for (number, step) in steps.iter().enumerate() {
            for fault in Fault::ALL {
                let name = format!("{fault:?} at step {number}, `{step}`, of {steps:?}");
                self.fail(number, fault, &after, &name).await;
            }
        }
        steps
    }

    async fn fail(&self, number: usize, fault: Fault, after: &World, name: &str) {
        let mut daemon = (self.prepare)().await;
        let before = daemon.world().await;
        daemon.arm(Some((number, fault))).await;
        let result = self.request.send(&daemon).await;
        if fault == Fault::Killed {
            restart_twice(&mut daemon, name).await;
        }
        daemon.faults.disarm();
        if fault != Fault::Killed && !daemon.journal().await.is_empty() {
            assert!(
                !daemon.warnings().await.is_empty(),
                "{name}: nobody was told"
            );
        }
        // What could not be undone, or cleared away, at once is soon.
        daemon.reconcile().await;
        let world = daemon.world().await;
        let expected = match &result {
            Ok(()) => vec![after],
            // It may have been past the point of no return.
            Err(_) if fault == Fault::Killed => vec![&before, after],
            Err(_) => vec![&before],
        };
        let fallback = self.fallback.as_ref().filter(|_| result.is_err());
        let expected: Vec<_> = expected.into_iter().chain(fallback).collect();
        assert!(
            expected.contains(&&world),
            "{name}: {result:?}\nbut for before:\n{}\nbut for after:\n{}",
            world.difference(&before),
            world.difference(after),
        );
        let left = daemon.journal().await;
        assert!(left.is_empty(), "{name}: the journal has {left:?}");
        let warnings = daemon.warnings().await;
        assert!(warnings.is_empty(), "{name}: {warnings:?}");
    }
}

/// The second time everything is undone again: undoing must not mind.
async fn restart_twice(daemon: &mut TestDaemon, name: &str) {
    let entries = entries_of_the_dead(daemon);
    daemon.restart().await;
    let once = daemon.world().await;
    for entry in entries {
        daemon
            .app
            .db
            .note(move |tx| crate::db::journal::append(tx, "again", &entry))
            .await
            .unwrap();
    }
    daemon.restart().await;
    let twice = daemon.world().await;
    assert!(
        once == twice,
        "{name}: undoing twice is not undoing once:\n{}",
        twice.difference(&once)
    );
}

/// What is in the journal of a daemon that can't be asked any more, the oldest first.
fn entries_of_the_dead(daemon: &TestDaemon) -> Vec<String> {
    let connection = rusqlite::Connection::open(daemon.app.places.database()).unwrap();
    let mut statement = connection
        .prepare("SELECT entry FROM journal ORDER BY id")
        .unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}
