//! LXD's own client, unchanged, through the whole list of its verbs. What it has and this list has not fails the test, so that the list
//! stays whole; what rlxc does not do stands in [`NOT_THERE`] and in `docs/compatibility.md`.

use rlxc_tests::{Daemon, require};

use super::verbs::{self, Client, Own, Step, line, prepared, reads, shows};

/// Verbs of things that rlxc has not.
const NOT_THERE: &[&str] = &["cluster", "network acl show-log", "network peer"];

const SNAPSHOTS: &[Step] = &[
    line("snapshot l1 s0"),
    line("snapshot l1 s1"),
    line("restore l1 s0"),
    line("copy l1/s1 l6"),
    line("copy l1 l7"),
    shows("info l7", "s0"),
    line("delete l1/s1 l6 l7"),
    line("rename l1/s0 l1/s9"),
];

const TRUST: &[Step] = &[
    shows("config trust add --name unused", "unused"),
    shows("config trust list-tokens", "unused"),
    line("config trust revoke-token unused"),
    line("config trust add {conf}/client.crt --name me"),
    shows("config trust list", "me"),
    shows("config trust show {fingerprint}", "name: me"),
    reads(
        "config trust edit {fingerprint}",
        "name: you\ntype: client\nrestricted: false\nprojects: []\n",
    ),
    line("config trust remove {fingerprint}"),
];

const VOLUMES: &[Step] = &[
    line("storage volume create default v0"),
    line("storage volume snapshot default v0 s0"),
    line("storage volume restore default v0 s0"),
    line("storage volume delete default v0"),
];

const OWN: Own = Own {
    first: &[line("init busybox l0")],
    snapshots: SNAPSHOTS,
    trust: TRUST,
    rest: VOLUMES,
    last: &[],
};

fn lxc(daemon: &Daemon) -> Client<'_> {
    let program = "lxc".to_owned();
    Client {
        daemon,
        program,
        prefix: "LXD",
    }
}

#[test]
fn every_verb_of_lxds_client_works() {
    require!(root);
    require!(tool "lxc");
    let (daemon, filled) = prepared();
    let lxc = lxc(&daemon);
    // Its first connection to another host makes its certificate.
    lxc.run("remote add nowhere 127.0.0.1:1", "");
    lxc.walk(&verbs::walk(&OWN), filled);
}

#[test]
fn the_list_of_lxds_verbs_is_whole() {
    require!(root);
    require!(tool "lxc");
    let daemon = Daemon::initialized();
    let walk = verbs::walk(&OWN);
    lxc(&daemon).has_no_verb_but(&walk, &[NOT_THERE, verbs::ELSEWHERE].concat());
}
