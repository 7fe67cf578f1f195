//! Instances and volumes that travel between us and a real LXD, and a real Incus.

use rlxc_tests::{Daemon, skip};

use super::migrate::launch;
use super::stock::{Kind, Stock};
use super::travel;
use super::volume_travel::{check, content, furnish};

/// The server of somebody else, or a word that there is none.
fn stock(kind: Option<Kind>) -> Option<(Daemon, Stock)> {
    if !rlxc_tests::is_root() {
        skip(module_path!(), "needs root");
        return None;
    }
    let Some(kind) = kind else {
        skip(
            module_path!(),
            "needs the server, which scripts/packages fetches",
        );
        return None;
    };
    let ours = Daemon::initialized();
    let stock = Stock::beside(&ours, kind);
    Some((ours, stock))
}

fn check_stopped(stock: &Stock, name: &str) {
    let pull = |path: &str| stock.ok(&["file", "pull", &format!("{name}/{path}"), "-"]);
    assert_eq!(pull("root/work"), "two");
    assert_eq!(pull("home/me/x"), "");
    assert!(stock.ok(&["info", name]).contains("s1"));
}

fn backups(kind: Option<Kind>) {
    let Some((ours, stock)) = stock(kind) else {
        return;
    };
    launch(ours.cli());
    let there = stock.file("ours.tar.zst");
    ours.cli().ok(["export", "c1", &there]);
    stock.ok(&["import", &there, "c1"]);
    check_stopped(&stock, "c1");
    let back = stock.file("theirs.tar.gz");
    stock.ok(&["export", "c1", &back]);
    ours.cli().ok(["import", &back, "c2"]);
    travel::check(ours.cli(), "c2");
}

#[test]
fn backups_go_to_lxd_and_come_from_it() {
    backups(Kind::lxd());
}

#[test]
fn backups_go_to_incus_and_come_from_it() {
    backups(Kind::incus());
}

fn instances(kind: Option<Kind>) {
    let Some((ours, stock)) = stock(kind) else {
        return;
    };
    stock.know(&ours);
    launch(ours.cli());
    // LXD takes a file to be that of the snapshot before if both have one size and were written in one second.
    ours.cli()
        .exec("c1", &["sh", "-c", "sleep 2; echo two > /root/work"]);
    ours.cli().ok(["stop", "-f", "c1"]);
    for mode in ["pull", "push", "relay"] {
        stock.ok(&["copy", "box:c1", "local:c2", "--mode", mode]);
        check_stopped(&stock, "c2");
        stock.ok(&["copy", "local:c2", "box:c3", "--mode", mode]);
        // LXD does not send hard links.
        let cli = ours.cli();
        cli.ok(["start", "c3"]);
        assert_eq!(cli.exec("c3", &["cat", "/root/work"]), "two");
        let owner = ["stat", "-c", "%u %a", "/home/me/x"];
        assert_eq!(cli.exec("c3", &owner), "1234 4750");
        cli.ok(["snapshot", "restore", "c3", "s1"]);
        cli.wait_status("c3", "Running");
        assert_eq!(cli.exec("c3", &["cat", "/root/work"]), "one");
        cli.ok(["delete", "-f", "c3"]);
        stock.ok(&["delete", "c2"]);
    }
    stock.ok(&["move", "box:c1", "local:c1"]);
    assert_eq!(ours.cli().status("c1"), None);
    stock.ok(&["move", "local:c1", "box:c1"]);
    assert_eq!(stock.ok(&["list", "-c", "n", "-f", "csv"]), "");
    assert_eq!(ours.cli().status("c1").as_deref(), Some("Stopped"));
}

#[test]
fn instances_go_to_lxd_and_come_from_it() {
    instances(Kind::lxd());
}

#[test]
fn instances_go_to_incus_and_come_from_it() {
    instances(Kind::incus());
}

fn volumes(kind: Option<Kind>) {
    let Some((ours, stock)) = stock(kind) else {
        return;
    };
    stock.know(&ours);
    furnish(&ours);
    let theirs = |args: &[&str]| stock.ok(&[&["storage", "volume"], args].concat());
    let volume = |args: &[&str]| ours.cli().ok(["storage", "volume"].iter().chain(args));
    // LXD takes a file to be that of the snapshot before if both have one size and were written in one second.
    std::thread::sleep(std::time::Duration::from_secs(2));
    std::fs::write(content(&ours).join("file"), "two").unwrap();
    let file = stock.file("data.tar");
    volume(&["export", "default", "data", &file]);
    theirs(&["import", "default", &file, "data"]);
    check(&stock.volume("data"), "two");
    theirs(&[stock.kind.restore_volume, &["default", "data", "s1"]].concat());
    check(&stock.volume("data"), "one");
    theirs(&["delete", "default", "data"]);
    for mode in ["pull", "push", "relay"] {
        theirs(&[
            "copy",
            "box:default/data",
            "local:default/data",
            "--mode",
            mode,
        ]);
        check(&stock.volume("data"), "two");
        theirs(&["export", "default", "data", &file]);
        volume(&["delete", "default", "data"]);
        volume(&["import", "default", &file]);
        check(&content(&ours), "two");
        volume(&["delete", "default", "data"]);
        theirs(&[
            "move",
            "local:default/data",
            "box:default/data",
            "--mode",
            mode,
        ]);
        check(&content(&ours), "two");
        let list = volume(&["snapshot", "list", "default", "data", "--format", "csv"]);
        assert!(list.starts_with("s1,"), "{list}");
        volume(&["restore", "default", "data", "s1"]);
        check(&content(&ours), "one");
        std::fs::write(content(&ours).join("file"), "two").unwrap();
        std::fs::create_dir(content(&ours).join("later")).unwrap();
    }
}

#[test]
fn volumes_go_to_lxd_and_come_from_it() {
    volumes(Kind::lxd());
}

#[test]
fn volumes_go_to_incus_and_come_from_it() {
    volumes(Kind::incus());
}
