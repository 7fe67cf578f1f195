//! What may be done to an instance when: a pure table.
//!
//! ```text
//!            Start                    Freeze
//!  Stopped ─────────▶ Running ─────────────────▶ Frozen
//!     ▲                 │  ▲                        │
//!     │   Stop, or      │  └────────────────────────┘
//!     └── init ended ◀──┘          Unfreeze              (Stop works on Frozen too)
//! ```
//! While a verb is under way the instance is busy and refuses all others; exec and console need no verb.

use rlxc_api::StatusCode;

/// What an instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No process.
    Stopped,
    /// Its init runs.
    Running,
    /// Its processes are stopped by the freezer.
    Frozen,
}

/// What is asked of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Boot.
    Start,
    /// Shut down, or kill.
    Stop,
    /// Stop and start.
    Restart,
    /// Stop all processes for a while.
    Freeze,
    /// Let them go on.
    Unfreeze,
    /// Remove for good.
    Delete,
    /// Change name, configuration, devices.
    Update,
    /// Take, rename or remove a snapshot.
    Snapshot,
    /// Go back to a snapshot.
    Restore,
    /// Make the root anew.
    Rebuild,
    /// Read the whole root: copy, publish, export.
    Copy,
    /// Read or write files of a stopped instance.
    Files,
}

impl Verb {
    /// As messages call it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Freeze => "pause",
            Self::Unfreeze => "resume",
            Self::Delete => "delete",
            Self::Update => "update",
            Self::Snapshot => "snapshot",
            Self::Restore => "restore",
            Self::Rebuild => "rebuild",
            Self::Copy => "copy",
            Self::Files => "file access",
        }
    }
}

/// Why a verb can't begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is already so.
    #[error("the instance is already {0}")]
    Already(&'static str),
    /// It must be stopped.
    #[error("the instance is {0}: stop it first, or use `--force`")]
    Running(&'static str),
    /// It must run.
    #[error("the instance is not running")]
    NotRunning,
    /// It must be resumed first.
    #[error("the instance is frozen: resume it first")]
    Frozen,
}

impl State {
    /// As the API writes it.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Stopped => StatusCode::Stopped,
            Self::Running => StatusCode::Running,
            Self::Frozen => StatusCode::Frozen,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Running => "running",
            Self::Frozen => "frozen",
        }
    }
}

#[expect(clippy::match_same_arms, reason = "a table reads best one rule a line")]
/// Whether `verb` may begin in `state`, and what the instance is called meanwhile.
pub fn next(state: State, verb: Verb) -> Result<StatusCode, Refusal> {
    match (state, verb) {
        (State::Stopped, Verb::Start) => Ok(StatusCode::Starting),
        (State::Running, Verb::Start) => Err(Refusal::Already(State::Running.text())),
        (State::Frozen, Verb::Start | Verb::Restart) => Err(Refusal::Frozen),
        (State::Stopped, Verb::Stop) => Err(Refusal::Already(State::Stopped.text())),
        (_, Verb::Stop) | (State::Running, Verb::Restart) => Ok(StatusCode::Stopping),
        (State::Stopped, Verb::Restart | Verb::Freeze | Verb::Unfreeze) => Err(Refusal::NotRunning),
        (State::Running, Verb::Freeze) => Ok(StatusCode::Freezing),
        (State::Frozen, Verb::Freeze) => Err(Refusal::Already(State::Frozen.text())),
        (State::Frozen, Verb::Unfreeze) => Ok(StatusCode::Thawed),
        (State::Running, Verb::Unfreeze) => Err(Refusal::Already(State::Running.text())),
        (State::Running | State::Frozen, Verb::Delete | Verb::Rebuild) => {
            Err(Refusal::Running(state.text()))
        }
        (
            _,
            Verb::Delete
            | Verb::Update
            | Verb::Snapshot
            | Verb::Restore
            | Verb::Rebuild
            | Verb::Copy
            | Verb::Files,
        ) => Ok(state.status()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_lifecycle_verbs() {
        use State::{Frozen, Running, Stopped};
        let allowed = [
            (Stopped, Verb::Start),
            (Running, Verb::Stop),
            (Frozen, Verb::Stop),
            (Running, Verb::Restart),
            (Running, Verb::Freeze),
            (Frozen, Verb::Unfreeze),
            (Stopped, Verb::Delete),
        ];
        for state in [Stopped, Running, Frozen] {
            for verb in [
                Verb::Start,
                Verb::Stop,
                Verb::Restart,
                Verb::Freeze,
                Verb::Unfreeze,
                Verb::Delete,
            ] {
                assert_eq!(
                    next(state, verb).is_ok(),
                    allowed.contains(&(state, verb)),
                    "{state:?} {verb:?}"
                );
            }
        }
    }

    #[test]
    fn the_inventory_can_change_in_every_state() {
        for state in [State::Stopped, State::Running, State::Frozen] {
            for verb in [
                Verb::Update,
                Verb::Snapshot,
                Verb::Restore,
                Verb::Copy,
                Verb::Files,
            ] {
                assert_eq!(next(state, verb), Ok(state.status()));
            }
        }
    }

    #[test]
    fn says_why_not() {
        assert_eq!(
            next(State::Running, Verb::Start).unwrap_err().to_string(),
            "the instance is already running"
        );
    }
}
