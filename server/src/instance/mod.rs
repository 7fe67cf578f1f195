//! One writer an instance: an actor task that knows what it is and who may change it.

mod actor;
mod registry;
pub mod state;

use std::sync::Arc;

use rlxc_api::StatusCode;

pub use actor::{Exit, Outcome, Permit};
pub use registry::{InstanceHandle, Registry};

use crate::runtime::Running;
use state::State;

/// What an instance is at the moment, for all who only look.
#[derive(Debug, Clone)]
pub struct Status {
    /// What it is.
    pub state: State,
    /// As the API writes it, verbs under way included.
    pub code: StatusCode,
    /// Its monitor, while it has one.
    pub running: Option<Arc<dyn Running>>,
}

impl Status {
    /// That of one that does not run.
    pub fn stopped() -> Self {
        Self {
            state: State::Stopped,
            code: StatusCode::Stopped,
            running: None,
        }
    }
}
