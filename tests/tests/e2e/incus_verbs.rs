//! Incus' client, unchanged, through the whole list of its verbs, as [`super::lxc_verbs`] does with LXD's.

use rlxc_tests::{Daemon, require, skip};

use super::stock::Kind;
use super::verbs::{self, Client, Own, Step, line, prepared, reads, shows};

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

const SNAPSHOTS: &[Step] = &[
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
    shows("info", "api_extensions"),
    line("pause l1"),
    line("resume l1"),
    line("rebuild busybox l3"),
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

/// The same of those that only this client has.
const ELSEWHERE: &[&str] = &[
    "admin recover",
    "network acl show-log",
    "remote generate-certificate",
    "remote proxy",
    "top",
];

/// Ends the daemon.
const LAST: &[Step] = &[line("admin shutdown --timeout 60")];

const OWN: Own = Own {
    first: &[line("create busybox l0")],
    snapshots: SNAPSHOTS,
    trust: TRUST,
    rest: INCUS,
    last: LAST,
};

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
    incus.walk(&verbs::walk(&OWN), filled);
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
    let walk = verbs::walk(&OWN);
    incus.has_no_verb_but(&walk, &[NOT_THERE, verbs::ELSEWHERE, ELSEWHERE].concat());
}
