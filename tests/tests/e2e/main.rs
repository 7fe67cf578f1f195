//! The product as a user meets it: the real daemon, the real command line, real containers. One file a subject.
#![expect(clippy::unwrap_used, reason = "a helper of a test may end it")]

mod abuse;
mod bad_input;
mod cancel;
mod cloud_init;
mod comfort;
mod connections;
mod console;
mod debian;
mod devices;
mod disks;
mod events;
mod exec;
mod files;
mod firewall;
mod full;
mod fuzz;
mod guest_api;
mod host;
mod hostile_image;
mod image_copy;
mod image_delta;
mod image_server;
mod images;
mod incus_verbs;
mod intercept;
mod kept;
mod killed;
mod lifecycle;
mod limits;
mod lxc_verbs;
mod migrate;
mod names;
mod nesting;
mod net_faults;
mod net_kills;
mod network;
mod nic;
mod nic_types;
mod observe;
mod projects;
mod proxy;
mod pylxd;
mod quotas;
mod recover;
mod remote;
mod restart;
mod stock;
mod stock_travel;
mod storage;
mod storage_faults;
mod templates;
mod tls;
mod tpm;
mod travel;
mod verbs;
mod view;
mod volume_travel;
mod walls;
mod zones;

use rlxc_tests::{Daemon, Leaks};

/// A daemon with the busybox image and one running instance `c1`, and what the world looked like before `c1`.
#[track_caller]
fn daemon_with_c1() -> (Daemon, Leaks) {
    let daemon = Daemon::initialized();
    rlxc_tests::image::import_busybox(&daemon);
    warm_up(&daemon);
    let before = Leaks::look(&daemon);
    daemon.cli().ok(["launch", "busybox", "c1"]);
    (daemon, before)
}

/// Makes and deletes one instance, so that what is made once (the unpacked image) is not taken for a leak.
#[track_caller]
fn warm_up(daemon: &Daemon) {
    let cli = daemon.cli();
    cli.ok(["launch", "busybox", "warmup"]);
    cli.ok(["delete", "-f", "warmup"]);
}
