//! Things that go wrong on order: every effect of the daemon asks here first whether it may happen.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::db::{Access, Db};

/// How a step goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails and has done nothing.
    Refused,
    /// It fails and has done what it should.
    Done,
    /// The daemon is killed before it: neither it nor anything after it happens.
    Killed,
}

impl Fault {
    pub(crate) const ALL: [Self; 3] = [Self::Refused, Self::Done, Self::Killed];
}

/// What a step is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Do it.
    Go,
    /// Do not, and fail.
    Refuse,
    /// Do it, and fail.
    GoAndFail,
}

/// Counts the steps of one life of a daemon, and lets one of them go wrong.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    armed: Option<(usize, Fault)>,
    steps: Vec<&'static str>,
    dead: bool,
}

impl Faults {
    /// From now on the step number `at` goes wrong; `None` only counts.
    pub(crate) fn arm(&self, armed: Option<(usize, Fault)>) {
        let mut state = self.state();
        (state.armed, state.steps) = (armed, Vec::new());
    }

    /// Nothing goes wrong any more, unless the daemon is dead; the steps since [`Self::arm`].
    pub(crate) fn disarm(&self) -> Vec<&'static str> {
        let mut state = self.state();
        state.armed = None;
        std::mem::take(&mut state.steps)
    }

    /// Kills the daemon.
    pub(crate) fn kill(&self) {
        self.state().dead = true;
    }

    /// Whether the daemon was killed.
    pub(crate) fn is_dead(&self) -> bool {
        self.state().dead
    }

    pub(super) fn step(&self, what: &'static str) -> Verdict {
        let mut state = self.state();
        if state.dead {
            return Verdict::Refuse;
        }
        let number = state.steps.len();
        state.steps.push(what);
        match state.armed {
            Some((at, fault)) if at == number => {
                state.dead = fault == Fault::Killed;
                match fault {
                    Fault::Done => Verdict::GoAndFail,
                    Fault::Refused | Fault::Killed => Verdict::Refuse,
                }
            }
            _ => Verdict::Go,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets commits be steps. A commit that is reported as failed never happened.
pub(super) fn guard(db: &Db, faults: &std::sync::Arc<Faults>) {
    let faults = std::sync::Arc::clone(faults);
    db.set_gate(move |access| match access {
        Access::Read => !faults.is_dead(),
        Access::Commit => faults.step("commit") == Verdict::Go,
    });
}
