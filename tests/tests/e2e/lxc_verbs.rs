//! LXD's own client, unchanged, through the whole list of its verbs. What it has and this list has not fails the test, so that the list
//! stays whole; what rlxc does not do stands in [`NOT_THERE`] and in `docs/compatibility.md`.

use rlxc_tests::{Daemon, require};

use super::verbs::{self, Client, Step, line, prepared, reads, shows};

/// Verbs of things that rlxc has not.
const NOT_THERE: &[&str] = &["cluster", "network acl show-log", "network peer"];

const INSTANCES: &[Step] = &[
    line("init busybox l0"),
    line("launch busybox l1 -c user.a=b"),
    shows("list -c nst -f csv", "l1,RUNNING,CONTAINER"),
    shows("list l0 -f json", "\"l0\""),
    shows("info l1", "Name: l1"),
    shows("exec l1 -- hostname", "l1"),
    line("pause l1"),
    line("start l1"),
    line("stop -f l1"),
    line("start l1"),
    line("restart -f l1"),
    line("rename l0 l2"),
    line("move l2 l3"),
    line("copy l3 l4"),
    line("copy l1 l5 --instance-only"),
    shows("console l1 --show-log", ""),
    line("delete l4 l5"),
    line("snapshot l1 s0"),
    line("snapshot l1 s1"),
    line("restore l1 s0"),
    line("copy l1/s1 l6"),
    line("copy l1 l7"),
    shows("info l7", "s0"),
    line("delete l1/s1 l6 l7"),
    line("rename l1/s0 l1/s9"),
    line("publish l3 --alias published"),
    line("publish l1/s9 --alias published2 --public"),
    line("export l3 {dir}/l3.tar.gz"),
    line("import {dir}/l3.tar.gz l8"),
    line("delete l8"),
    shows("version", "Server version: 0."),
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

const SNAPSHOTS: &[Step] = &[
    line("storage volume create default v0"),
    line("storage volume snapshot default v0 s0"),
    line("storage volume restore default v0 s0"),
    line("storage volume delete default v0"),
];

const THE_REST: &[Step] = &[
    line("alias add ll list"),
    shows("alias list", "ll"),
    line("alias rename ll l2"),
    line("alias remove l2"),
    shows("operation list", ""),
    shows("warning list", ""),
    shows("remote list", "local"),
    shows("remote get-default", "local"),
    line("remote add box {token}"),
    shows("list box: -f csv", "l1"),
    line("remote rename box bax"),
    line("remote set-url bax https://127.0.0.1:8443"),
    line("remote switch bax"),
    line("remote switch local"),
    line("remote remove bax"),
    line("delete -f l1 l3"),
];

/// Verbs that the walk can't type as a line: they need a person, an id, a program or another server.
const ELSEWHERE: &[&str] = &[
    "file edit",
    "file mount",
    "image copy",
    "image refresh",
    "operation delete",
    "operation show",
    "warning acknowledge",
    "warning delete",
    "warning show",
];

fn walk() -> impl Iterator<Item = &'static Step> {
    [
        INSTANCES,
        verbs::CONFIG,
        TRUST,
        verbs::FILES,
        verbs::IMAGES,
        verbs::NETWORKS,
        verbs::PROFILES,
        verbs::PROJECTS,
        verbs::STORAGE,
        SNAPSHOTS,
        THE_REST,
    ]
    .into_iter()
    .flatten()
}

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
    lxc.walk(walk(), filled);
}

#[test]
fn the_list_of_lxds_verbs_is_whole() {
    require!(root);
    require!(tool "lxc");
    let daemon = Daemon::initialized();
    let walk: Vec<&Step> = walk().collect();
    lxc(&daemon).has_no_verb_but(&walk, &[NOT_THERE, ELSEWHERE].concat());
}
