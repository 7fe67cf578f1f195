//! The actor of one instance: a mailbox, and the state that nobody else writes.
//!
//! A verb begins with a [`Permit`]: while one is out, all other verbs are refused. The holder does the work in a task
//! of its own and gives the permit back with what came of it, so the mailbox is never blocked.

use std::sync::Arc;

use rlxc_api::StatusCode;
use tokio::sync::{mpsc, oneshot, watch};

use super::Status;
use super::state::{self, Refusal, State, Verb};
use crate::runtime::{ExitCause, Running};

/// An instance's init ended without a verb that asked for it.
#[derive(Debug)]
pub struct Exit {
    /// Which instance.
    pub instance: i64,
    /// How.
    pub cause: ExitCause,
}

/// What came of a verb.
#[derive(Debug)]
pub enum Outcome {
    /// Nothing that concerns the state.
    Unchanged,
    /// It runs.
    Started(Arc<dyn Running>),
    /// It has no process any more.
    Stopped,
    /// It is frozen.
    Frozen,
    /// It is no longer frozen.
    Thawed,
}

/// Why a verb was refused.
#[derive(Debug)]
pub(super) enum BeginError {
    /// By the state table.
    Refused(Refusal),
    /// Another verb is under way.
    Busy {
        /// Which.
        verb: Verb,
        /// By which operation.
        operation: String,
    },
    /// The instance was deleted meanwhile.
    Gone,
}

pub(super) enum Message {
    Begin {
        verb: Verb,
        operation: String,
        reply: oneshot::Sender<Result<Status, BeginError>>,
    },
    Finish(Outcome),
    Exited {
        generation: u64,
        cause: ExitCause,
    },
    Deleted,
}

/// The right to change an instance, held by one operation at a time. Dropped, it leaves the state as it was.
#[derive(Debug)]
pub struct Permit {
    mailbox: mpsc::UnboundedSender<Message>,
    before: Status,
    outcome: Option<Outcome>,
}

impl Permit {
    pub(super) fn new(mailbox: mpsc::UnboundedSender<Message>, before: Status) -> Self {
        Self {
            mailbox,
            before,
            outcome: Some(Outcome::Unchanged),
        }
    }

    /// What the instance was when the verb began.
    pub fn before(&self) -> &Status {
        &self.before
    }

    /// Its monitor, if it ran when the verb began.
    pub fn running(&self) -> Option<&Arc<dyn Running>> {
        self.before.running.as_ref()
    }

    /// Ends the verb with what came of it.
    pub fn finish(mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
    }

    /// Ends the verb: the instance is no more, its actor ends.
    pub fn deleted(mut self) {
        self.outcome = None;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let message = self
            .outcome
            .take()
            .map_or(Message::Deleted, Message::Finish);
        // An actor that is gone has no state to tell.
        drop(self.mailbox.send(message));
    }
}

pub(super) struct Actor {
    instance: i64,
    state: State,
    running: Option<Arc<dyn Running>>,
    generation: u64,
    busy: Option<(Verb, String, StatusCode)>,
    status: watch::Sender<Status>,
    mailbox: mpsc::UnboundedSender<Message>,
    exits: mpsc::UnboundedSender<Exit>,
}

impl Actor {
    pub(super) fn new(
        instance: i64,
        status: watch::Sender<Status>,
        mailbox: mpsc::UnboundedSender<Message>,
        exits: mpsc::UnboundedSender<Exit>,
    ) -> Self {
        Self {
            instance,
            state: State::Stopped,
            running: None,
            generation: 0,
            busy: None,
            status,
            mailbox,
            exits,
        }
    }

    pub(super) async fn run(
        mut self,
        mut inbox: mpsc::UnboundedReceiver<Message>,
        initial: Option<(Arc<dyn Running>, State)>,
    ) {
        if let Some((running, state)) = initial {
            self.adopt(running);
            self.state = state;
            self.publish();
        }
        while let Some(message) = inbox.recv().await {
            match message {
                Message::Begin {
                    verb,
                    operation,
                    reply,
                } => {
                    let answer = self.begin(verb, operation);
                    // A caller that went away holds no permit: the verb is over at once.
                    if reply.send(answer).is_err() {
                        self.busy = None;
                    }
                }
                Message::Finish(outcome) => self.finish(outcome),
                Message::Exited { generation, cause } => self.exited(generation, cause),
                Message::Deleted => return,
            }
            self.publish();
        }
    }

    fn begin(&mut self, verb: Verb, operation: String) -> Result<Status, BeginError> {
        if let Some((verb, operation, _)) = &self.busy {
            return Err(BeginError::Busy {
                verb: *verb,
                operation: operation.clone(),
            });
        }
        let code = state::next(self.state, verb).map_err(BeginError::Refused)?;
        self.busy = Some((verb, operation, code));
        Ok(self.view())
    }

    fn finish(&mut self, outcome: Outcome) {
        self.busy = None;
        match outcome {
            Outcome::Started(running) => {
                self.adopt(running);
                self.state = State::Running;
            }
            Outcome::Stopped => {
                self.running = None;
                self.generation += 1;
                self.state = State::Stopped;
            }
            Outcome::Frozen if self.running.is_some() => self.state = State::Frozen,
            Outcome::Thawed if self.running.is_some() => self.state = State::Running,
            // Nothing that concerns the state, or it ended while it was being frozen or thawed.
            Outcome::Unchanged | Outcome::Frozen | Outcome::Thawed => {}
        }
    }

    fn adopt(&mut self, running: Arc<dyn Running>) {
        self.generation += 1;
        let (generation, mailbox) = (self.generation, self.mailbox.clone());
        let watched = Arc::clone(&running);
        tokio::spawn(async move {
            let cause = watched.exited().await;
            drop(mailbox.send(Message::Exited { generation, cause }));
        });
        self.running = Some(running);
    }

    fn exited(&mut self, generation: u64, cause: ExitCause) {
        if generation != self.generation {
            return;
        }
        self.running = None;
        self.state = State::Stopped;
        let asked_for = matches!(
            self.busy,
            Some((Verb::Stop | Verb::Restart | Verb::Restore, _, _))
        );
        if !asked_for {
            drop(self.exits.send(Exit {
                instance: self.instance,
                cause,
            }));
        }
    }

    fn view(&self) -> Status {
        let code = self
            .busy
            .as_ref()
            .map_or_else(|| self.state.status(), |(_, _, code)| *code);
        Status {
            state: self.state,
            code,
            running: self.running.clone(),
        }
    }

    fn publish(&self) {
        self.status.send_replace(self.view());
    }
}
