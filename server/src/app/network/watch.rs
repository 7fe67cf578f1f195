//! Processes that shall last, watched so that one which ends is missed at once: what answers networks, and TPMs.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

use crate::readiness;

type Process = Arc<AsyncFd<OwnedFd>>;

/// Processes by the network that they answer.
#[derive(Debug, Default)]
pub struct Watched {
    processes: Mutex<BTreeMap<String, Process>>,
    changed: Notify,
}

impl Watched {
    fn processes(&self) -> MutexGuard<'_, BTreeMap<String, Process>> {
        self.processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches what answers a network, given as a pidfd.
    pub fn watch(&self, network: &str, process: OwnedFd) {
        match readiness::watch(process) {
            Ok(process) => {
                let mut processes = self.processes();
                processes.insert(network.to_owned(), Arc::new(process));
                self.changed.notify_one();
            }
            // The next look at all networks notices as well, only later.
            Err(error) => tracing::warn!(network, %error, "what answers it can't be watched"),
        }
    }

    /// It may end.
    pub fn forget(&self, network: &str) {
        self.processes().remove(network);
    }

    /// Returns when one has ended that should not have, which is forgotten then.
    pub async fn ended(&self) {
        loop {
            tokio::select! {
                () = poll_fn(|context| self.poll_ended(context)) => return,
                () = self.changed.notified() => {}
            }
        }
    }

    fn poll_ended(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut processes = self.processes();
        let before = processes.len();
        // All of them are asked, so that each wakes us.
        processes.retain(|_, process| process.poll_read_ready(context).is_pending());
        if processes.len() < before {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn pair() -> (OwnedFd, std::os::unix::net::UnixStream) {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (ours.into(), theirs)
    }

    #[tokio::test]
    async fn what_ends_is_told_once_and_what_may_end_is_not() {
        let watched = Watched::default();
        let soon = || tokio::time::timeout(Duration::from_millis(50), watched.ended());
        let (one, its_end) = pair();
        watched.watch("one", one);
        assert!(soon().await.is_err());
        drop(its_end);
        assert!(soon().await.is_ok());
        assert!(soon().await.is_err(), "it is told once");
        let (two, its_end) = pair();
        watched.watch("two", two);
        watched.forget("two");
        drop(its_end);
        assert!(soon().await.is_err());
    }
}
