//! The seam for time and identifiers, so that tests see the same ones every time.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use uuid::Uuid;

/// What LXD's clients read as "no time".
pub const NO_TIME: &str = "0001-01-01T00:00:00Z";

/// Where times and identifiers come from.
pub trait Clock: Send + Sync + Debug {
    /// The present.
    fn now(&self) -> Timestamp;
    /// A new random identifier.
    fn uuid(&self) -> Uuid;
}

/// Formats a time as the inventory and the API write it: RFC 3339, UTC, six fractional digits.
pub fn format(time: Timestamp) -> String {
    format!("{time:.6}")
}

/// The real one.
#[derive(Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn uuid(&self) -> Uuid {
        Uuid::new_v4()
    }
}

/// Counts: each call is one second, or one identifier, after the last.
#[derive(Debug, Default)]
pub struct FixedClock {
    ticks: AtomicU64,
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        let tick = self.ticks.fetch_add(1, Ordering::Relaxed);
        Timestamp::from_second(i64::try_from(tick).unwrap_or(i64::MAX))
            .unwrap_or(Timestamp::UNIX_EPOCH)
    }

    fn uuid(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.ticks.fetch_add(1, Ordering::Relaxed)))
    }
}
