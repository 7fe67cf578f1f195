//! All instances' actors by id.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Duration, Instant, sleep};

use super::Status;
use super::actor::{Actor, BeginError, Exit, Message, Permit};
use super::state::{State, Verb};
use crate::error::{Error, Result};
use crate::model::Instance;
use crate::runtime::Running;

/// How long a verb waits for files, and files for a verb.
const FILE_PATIENCE: Duration = Duration::from_secs(5);
const FILE_PAUSE: Duration = Duration::from_millis(5);

/// What others hold of an actor.
#[derive(Debug, Clone)]
pub struct InstanceHandle {
    mailbox: mpsc::UnboundedSender<Message>,
    status: watch::Receiver<Status>,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Message")
    }
}

impl InstanceHandle {
    /// What it is now.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Its monitor, or an error that says that it does not run.
    pub fn running(&self) -> Result<Arc<dyn Running>> {
        self.status()
            .running
            .ok_or_else(|| Error::Invalid("the instance is not running".to_owned()))
    }

    /// Begins a verb. `name` is for the message of a refusal.
    ///
    /// Files that are being read or written are no reason to refuse a verb, nor is a verb to refuse them: one waits a
    /// while for the other.
    pub async fn begin(&self, verb: Verb, name: &str, operation: &str) -> Result<Permit> {
        let patience = Instant::now() + FILE_PATIENCE;
        loop {
            match self.try_begin(verb, name, operation).await {
                Err(Error::Busy { verb: other, .. })
                    if (verb == Verb::Files || other == Verb::Files.text())
                        && Instant::now() < patience =>
                {
                    sleep(FILE_PAUSE).await;
                }
                other => return other,
            }
        }
    }

    /// Begins a verb once all that is under way has ended.
    pub async fn begin_after_others(
        &self,
        verb: Verb,
        name: &str,
        operation: &str,
    ) -> Result<Permit> {
        loop {
            match self.try_begin(verb, name, operation).await {
                Err(Error::Busy { .. }) => sleep(FILE_PAUSE).await,
                other => return other,
            }
        }
    }

    async fn try_begin(&self, verb: Verb, name: &str, operation: &str) -> Result<Permit> {
        let (reply, answer) = oneshot::channel();
        let message = Message::Begin {
            verb,
            operation: operation.to_owned(),
            reply,
        };
        self.mailbox
            .send(message)
            .map_err(|_gone| Error::not_found("instance", name))?;
        match answer.await.unwrap_or(Err(BeginError::Gone)) {
            Ok(status) => Ok(Permit::new(self.mailbox.clone(), status)),
            Err(BeginError::Refused(refusal)) => Err(Error::Invalid(refusal.to_string())),
            Err(BeginError::Busy { verb, operation }) => Err(Error::Busy {
                name: name.to_owned(),
                verb: verb.text(),
                operation,
            }),
            Err(BeginError::Gone) => Err(Error::not_found("instance", name)),
        }
    }

    /// Waits until its init has ended, however that came.
    pub async fn stopped(&self) {
        let mut status = self.status.clone();
        // An actor that ended leaves a stopped instance too.
        drop(status.wait_for(|status| status.running.is_none()).await);
    }
}

/// All actors.
#[derive(Debug)]
pub struct Registry {
    actors: RwLock<HashMap<i64, InstanceHandle>>,
    exits: mpsc::UnboundedSender<Exit>,
}

impl Registry {
    /// None yet; ends of init that nobody asked for go to `exits`.
    pub fn new(exits: mpsc::UnboundedSender<Exit>) -> Self {
        Self {
            actors: RwLock::default(),
            exits,
        }
    }

    /// Starts the actor of an instance, with its monitor if it runs already.
    pub fn add(&self, id: i64, initial: Option<(Arc<dyn Running>, State)>) -> InstanceHandle {
        let (mailbox, inbox) = mpsc::unbounded_channel();
        let first = match &initial {
            Some((running, state)) => Status {
                state: *state,
                code: state.status(),
                running: Some(Arc::clone(running)),
            },
            None => Status::stopped(),
        };
        let (sender, status) = watch::channel(first);
        let actor = Actor::new(id, sender, mailbox.clone(), self.exits.clone());
        tokio::spawn(actor.run(inbox, initial));
        let handle = InstanceHandle { mailbox, status };
        self.actors
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id, handle.clone());
        handle
    }

    /// Forgets an instance that was deleted.
    pub fn remove(&self, id: i64) {
        self.actors
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&id);
    }

    /// The instances that have an actor, in order.
    pub fn ids(&self) -> Vec<i64> {
        let actors = self.actors.read().unwrap_or_else(PoisonError::into_inner);
        let mut ids: Vec<i64> = actors.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// The actor of an instance.
    pub fn get(&self, id: i64) -> Option<InstanceHandle> {
        self.actors
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&id)
            .cloned()
    }

    /// The actor of an instance that was just read. One that is there and has none is on its way into being, or out of it.
    pub fn of(&self, instance: &Instance) -> Result<InstanceHandle> {
        self.get(instance.id).ok_or_else(|| {
            Error::Conflict(format!(
                "instance `{}` is being created or deleted: `rlxc operation list` tells how far that is",
                instance.name
            ))
        })
    }

    /// What an instance is now; one that has no actor is stopped.
    pub fn status(&self, id: i64) -> Status {
        self.get(id)
            .map_or_else(Status::stopped, |handle| handle.status())
    }
}
