//! Tasks for people whom we don't know: there are so many at most, and the newest takes the place of the oldest. Whoever
//! holds a place and does nothing loses it first, so that a crowd that only waits keeps nobody out.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use tokio::task::AbortHandle;

/// Tasks that must not become too many.
#[derive(Debug)]
pub struct Crowd {
    most: usize,
    tasks: Mutex<VecDeque<AbortHandle>>,
}

impl Crowd {
    /// Room for `most` tasks.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            tasks: Mutex::default(),
        }
    }

    /// Counts a task; if there are too many now, the oldest ends.
    pub fn admit(&self, task: AbortHandle) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if tasks.len() >= self.most {
            tasks.retain(|task| !task.is_finished());
        }
        while tasks.len() >= self.most {
            if let Some(oldest) = tasks.pop_front() {
                oldest.abort();
            }
        }
        tasks.push_back(task);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_makes_room_for_the_newest() {
        let crowd = Crowd::new(2);
        let spawn = || tokio::spawn(std::future::pending::<()>());
        let (first, second, third) = (spawn(), spawn(), spawn());
        for task in [&first, &second] {
            crowd.admit(task.abort_handle());
        }
        crowd.admit(third.abort_handle());
        assert!(first.await.unwrap_err().is_cancelled());
        // Who has left by himself makes room without anybody being thrown out.
        second.abort();
        while !second.is_finished() {
            tokio::task::yield_now().await;
        }
        crowd.admit(spawn().abort_handle());
        tokio::task::yield_now().await;
        assert!(!third.is_finished());
    }
}
