//! Which signal a container's init takes for "power off".
//!
//! Inits differ; what one understands shows in the signals that it catches or blocks (those who read signals from a
//! signalfd(2) block them), `SigCgt` and `SigBlk` of proc_pid_status(5):
//!
//! | signal | init |
//! |---|---|
//! | SIGRTMIN+3 | systemd: halt.target, which a container maps to its end |
//! | SIGPWR | sysvinit, OpenRC's: power failure |
//! | SIGUSR2 | BusyBox: power off. It sleeps in sigtimedwait(2), which unblocks what it waits for, so it is known by its name |
//! | SIGTERM | a plain program that catches it |
//! An init that shows none of them gets SIGPWR, the custom of LXC. A signal that comes before init is ready for it is
//! lost: whoever asks must be ready to ask again.

use std::fs;
use std::path::Path;

const SIGUSR2: i32 = 12;
const SIGTERM: i32 = 15;
const SIGPWR: i32 = 30;
/// SIGRTMIN is 34 for programs of glibc and musl, which keep the first two.
const SIGRTMIN_3: i32 = 37;

/// The signal for the process as it is now.
pub(super) fn signal_for(pid: i32) -> i32 {
    let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    choose(&program, &status)
}

fn choose(program: &Path, status: &str) -> i32 {
    let mask = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
            .unwrap_or_default()
    };
    let has = |mask: u64, signal: i32| mask & (1 << (signal - 1)) != 0;
    let caught = mask("SigCgt:");
    // The same program may be a shell that runs somebody's own init: that one would catch.
    let is_busybox = program.file_name().is_some_and(|name| name == "busybox");
    if is_busybox && !has(caught, SIGTERM) {
        return SIGUSR2;
    }
    let understood = caught | mask("SigBlk:");
    [SIGRTMIN_3, SIGPWR, SIGTERM]
        .into_iter()
        .find(|signal| has(understood, *signal))
        .unwrap_or(SIGPWR)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYSTEMD: &str = "/usr/lib/systemd/systemd";

    fn chosen(program: &str, status: &str) -> i32 {
        choose(Path::new(program), status)
    }

    #[test]
    fn systemd_blocks_its_signals() {
        let status = "SigBlk:\t7fe3c0fe28014a03\nSigCgt:\t00000000000004ec\n";
        assert_eq!(chosen(SYSTEMD, status), SIGRTMIN_3);
    }

    #[test]
    fn busybox_init_is_known_by_name() {
        let status = "SigBlk:\t0000000000000000\nSigCgt:\t0000000000000000\n";
        assert_eq!(chosen("/bin/busybox", status), SIGUSR2);
    }

    #[test]
    fn a_plain_program_is_terminated() {
        let status = "SigBlk:\t0\nSigCgt:\t14002\n";
        assert_eq!(chosen("/bin/busybox", status), SIGTERM);
    }

    #[test]
    fn an_init_that_shows_nothing_gets_the_customary_signal() {
        assert_eq!(chosen("/sbin/init", "SigBlk:\t0\nSigCgt:\t0\n"), SIGPWR);
        assert_eq!(chosen("/sbin/init", ""), SIGPWR);
    }
}
