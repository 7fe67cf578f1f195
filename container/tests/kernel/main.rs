//! The monitor and the containers it makes, against the real kernel. Needs root and BusyBox; one machine is enough.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::tests_outside_test_module,
    reason = "a test program as a whole"
)]

mod bed;
mod command;
mod launch;
