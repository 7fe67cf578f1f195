//! Which signal a container's init takes for "power off".
//!
//! Inits differ; what one understands shows in the signals that it catches or blocks (those who wait for signals by
//! sigwaitinfo(2) or signalfd(2) block them), `SigCgt` and `SigBlk` of proc_pid_status(5):
//!
//! | signal | init |
//! |---|---|
//! | SIGRTMIN+3 | systemd: halt.target, which a container maps to its end |
//! | SIGPWR | sysvinit, OpenRC's and newer BusyBox's: power failure |
//! | SIGUSR2 | older BusyBox: power off |
//! | SIGTERM | a plain program |
//! An init that takes none of them can't be asked; SIGTERM is sent all the same.

use std::fs;

const SIGUSR2: i32 = 12;
const SIGTERM: i32 = 15;
const SIGPWR: i32 = 30;
/// SIGRTMIN is 34 for programs of glibc and musl, which keep the first two.
const SIGRTMIN_3: i32 = 37;

/// The signal for the process as it is now.
pub(super) fn signal_for(pid: i32) -> i32 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    choose(&status)
}

fn choose(status: &str) -> i32 {
    let mask = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
            .unwrap_or_default()
    };
    let understood = mask("SigCgt:") | mask("SigBlk:");
    [SIGRTMIN_3, SIGPWR, SIGUSR2]
        .into_iter()
        .find(|signal| understood & (1 << (signal - 1)) != 0)
        .unwrap_or(SIGTERM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_blocks_its_signals() {
        let status = "SigBlk:\t7fe3c0fe28014a03\nSigCgt:\t00000000000004ec\n";
        assert_eq!(choose(status), SIGRTMIN_3);
    }

    #[test]
    fn busybox_is_told_by_usr2_if_it_knows_no_power_failure() {
        let status = "SigBlk:\t0000000000000000\nSigCgt:\t0000000000000a02\n";
        assert_eq!(choose(status), SIGUSR2);
    }

    #[test]
    fn a_plain_program_is_terminated() {
        assert_eq!(choose("SigBlk:\t0\nSigCgt:\t0\n"), SIGTERM);
        assert_eq!(choose(""), SIGTERM);
    }
}
