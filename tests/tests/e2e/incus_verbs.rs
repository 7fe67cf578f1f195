//! Incus' client, unchanged, through the whole list of its verbs, as [`super::lxc_verbs`] does with LXD's.

use rlxc_tests::{Daemon, require, skip};

use super::stock::Kind;
use super::verbs::{self, Client, Step, line, prepared, reads, shows};

/// Verbs of things that rlxc has not.
const NOT_THERE: &[&str] = &[
    "cluster",
    "admin cluster",
    "network integration",
    "network load-balancer",
    "network peer",
    "storage bucket",
    "webui",
];

const INSTANCES: &[Step] = &[
    line("create busybox l0"),
    line("launch busybox l1 -c user.a=b"),
    shows("list -c nst -f csv", "l1,RUNNING,CONTAINER"),
    shows("list l0 -f json", "\"l0\""),
    shows("info l1", "Name: l1"),
    shows("info", "api_extensions"),
    shows("exec l1 -- hostname", "l1"),
    line("pause l1"),
    line("resume l1"),
    line("stop -f l1"),
    line("start l1"),
    line("restart -f l1"),
    line("rename l0 l2"),
    line("move l2 l3"),
    line("copy l3 l4"),
    line("copy l1 l5 --instance-only"),
    shows("console l1 --show-log", ""),
    line("delete l4 l5"),
    line("snapshot create l1 s0"),
    line("snapshot create l1 s1"),
    shows("snapshot list l1 -f csv", "s1"),
    shows("snapshot show l1 s1", "stateful: false"),
    line("snapshot restore l1 s0"),
    line("copy l1/s1 l6"),
    line("copy l1 l7"),
    shows("info l7", "s0"),
    line("snapshot delete l1 s1"),
    line("delete l6 l7"),
    line("snapshot rename l1 s0 s9"),
    line("publish l3 --alias published"),
    line("publish l1/s9 --alias published2 --public"),
    line("export l3 {dir}/l3.tar.gz"),
    line("import {dir}/l3.tar.gz l8"),
    line("rebuild busybox l8"),
    line("delete l8"),
    shows("version", "Server version: 0."),
];

const TRUST: &[Step] = &[
    shows("config trust add unused", "unused"),
    shows("config trust list-tokens", "unused"),
    line("config trust revoke-token unused"),
    line("config trust add-certificate {conf}/client.crt --name me"),
    shows("config trust list", "me"),
    shows("config trust show {fingerprint}", "name: me"),
    reads(
        "config trust edit {fingerprint}",
        "name: you\ntype: client\nrestricted: false\nprojects: []\n",
    ),
    line("config trust remove {fingerprint}"),
];

/// What Incus' client has and LXD's has not, or not so.
const INCUS: &[Step] = &[
    line("file create l1/root/made"),
    line("file create --type=directory l1/root/dir"),
    line("file create --type=symlink l1/root/link made"),
    shows("exec l1 -- readlink /root/link", "made"),
    line("storage volume create default v0"),
    line("storage volume snapshot create default v0 s0"),
    shows("storage volume snapshot list default v0 -f csv", "s0"),
    shows("storage volume snapshot show default v0/s0", "content_type"),
    line("storage volume snapshot rename default v0 s0 s1"),
    line("storage volume snapshot restore default v0 s1"),
    line("storage volume snapshot delete default v0 s1"),
    line("storage volume delete default v0"),
    shows("network list-allocations", "l1"),
    shows("project get-current", "default"),
    line("admin waitready"),
    shows("admin init --dump", "networks"),
    shows("admin sql global .dump", "CREATE TABLE"),
    shows("admin sql global SELECT+1", "1"),
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
    "admin recover",
    "file edit",
    "network acl show-log",
    "file mount",
    "image copy",
    "image refresh",
    "operation delete",
    "operation show",
    "remote generate-certificate",
    "remote proxy",
    "top",
    "warning acknowledge",
    "warning delete",
    "warning show",
];

/// Ends the daemon.
const LAST: &[Step] = &[line("admin shutdown --timeout 60")];

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
        INCUS,
        THE_REST,
        LAST,
    ]
    .into_iter()
    .flatten()
}

#[test]
fn every_verb_of_incus_client_works() {
    require!(root);
    let Some(Kind { client, .. }) = Kind::incus() else {
        return skip(
            module_path!(),
            "needs Incus, which scripts/packages fetches",
        );
    };
    let (daemon, filled) = prepared();
    let incus = Client {
        daemon: &daemon,
        program: client,
        prefix: "INCUS",
    };
    incus.ok("remote generate-certificate");
    incus.walk(walk(), filled);
}

#[test]
fn the_list_of_incus_verbs_is_whole() {
    require!(root);
    let Some(Kind { client, .. }) = Kind::incus() else {
        return skip(
            module_path!(),
            "needs Incus, which scripts/packages fetches",
        );
    };
    let daemon = Daemon::initialized();
    let incus = Client {
        daemon: &daemon,
        program: client,
        prefix: "INCUS",
    };
    let walk: Vec<&Step> = walk().collect();
    incus.has_no_verb_but(&walk, &[NOT_THERE, ELSEWHERE].concat());
}
