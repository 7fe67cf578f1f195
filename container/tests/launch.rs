//! The monitor against the real kernel: launches, ends, failures, and nothing left of any of them.
#![forbid(unsafe_code)]

mod common;

use common::{Bed, Init, ask, cannot_run, shell};
use rlxc_container::exit::{ExitCause, ExitRecord};
use rlxc_container::protocol::{Reply, Request};

#[test]
fn busybox_boots_and_powers_off() {
    if cannot_run() {
        return;
    }
    let bed = Bed::new("boot", &Init::BusyBox);
    let running = bed.start().unwrap();
    assert_eq!(shell(&bed, "echo hello; exit 3"), ("hello\n".to_owned(), 3));
    let reply = ask(&bed.connect(), &Request::Shutdown).0;
    assert_eq!(reply, Reply::Done);
    assert_eq!(running.exited(), ExitCause::Halt);
    let record = ExitRecord::read(&bed.spec.runtime_dir).unwrap().unwrap();
    assert_eq!(record.cause, ExitCause::Halt);
    bed.assert_nothing_left();
}
