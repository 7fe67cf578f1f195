//! `rlxc-monitor`: started by the daemon with one end of a packet socket as stdin, see [`rlxc_container::monitor`].
#![forbid(unsafe_code)]

fn main() {
    rlxc_container::monitor::run();
}
