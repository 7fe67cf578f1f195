//! Instances between two servers, each in a world of its own, with a network between them.

use rlxc_tests::{Cli, Daemon, Leaks, require};

use super::travel::{check, furnish};

/// Lets a server listen, and import an image.
#[track_caller]
pub(super) fn listen(daemon: &Daemon, address: &str) {
    let key = format!("core.https_address={address}:8443");
    daemon.cli().ok(["config", "set", &key]);
    rlxc_tests::image::import_busybox(daemon);
}

/// Two servers with a cable between them; the first knows the second as `box`.
#[track_caller]
pub(super) fn two() -> (Daemon, Daemon) {
    let (here, there) = (Daemon::initialized(), Daemon::initialized());
    let [near, far] = here.world().connect(there.world());
    listen(&here, near);
    listen(&there, far);
    super::warm_up(&there);
    let token = there.cli().ok(["-q", "config", "trust", "add", "here"]);
    here.cli().ok(["remote", "add", "box", far, &token]);
    (here, there)
}

/// Looks for what is there already, among it what the first copy of `c1` makes: places to mount its snapshot.
#[track_caller]
fn look(here: &Daemon, there: &Daemon) -> (Leaks, Leaks) {
    here.cli().ok(["copy", "c1", "box:first"]);
    there.cli().ok(["delete", "first"]);
    (Leaks::look(here), Leaks::look(there))
}

/// Launches `c1` with what [`check`] looks for.
#[track_caller]
pub(super) fn launch(cli: Cli<'_>) {
    cli.ok(["launch", "busybox", "c1"]);
    furnish(cli);
}

#[test]
fn a_copy_reaches_another_server_in_every_mode() {
    require!(root);
    require!(tool "rsync");
    let (here, there) = two();
    let cli = here.cli();
    launch(cli);
    let (mine, theirs) = look(&here, &there);
    for mode in ["pull", "push", "relay"] {
        cli.ok(["copy", "c1", "box:c2", "--mode", mode]);
        assert_eq!(cli.status("c1").as_deref(), Some("Running"));
        check(there.cli(), "c2");
    }
    cli.ok(["copy", "c1/s1", "box:c3"]);
    there.cli().ok(["start", "c3"]);
    assert_eq!(there.cli().exec("c3", &["cat", "/root/work"]), "one");
    there.cli().ok(["delete", "-f", "c3"]);
    mine.assert_none(&here);
    theirs.assert_none(&there);
}

#[test]
fn a_refresh_brings_what_is_new_from_another_server() {
    require!(root);
    require!(tool "rsync");
    let (here, there) = two();
    let cli = here.cli();
    launch(cli);
    cli.ok(["copy", "c1", "box:c2"]);
    cli.exec("c1", &["sh", "-c", "echo three > /root/work"]);
    cli.ok(["snapshot", "create", "c1", "s2"]);
    cli.ok(["snapshot", "delete", "c1", "s1"]);
    cli.exec("c1", &["sh", "-c", "echo four > /root/work"]);
    cli.ok(["copy", "c1", "box:c2", "--refresh"]);
    let other = there.cli();
    other.ok(["start", "c2"]);
    assert_eq!(other.exec("c2", &["cat", "/root/work"]), "four");
    assert_eq!(
        other
            .ok(["snapshot", "list", "c2", "--format", "csv"])
            .lines()
            .count(),
        1
    );
    other.ok(["snapshot", "restore", "c2", "s2"]);
    other.wait_status("c2", "Running");
    assert_eq!(other.exec("c2", &["cat", "/root/work"]), "three");
}

#[test]
fn a_move_leaves_nothing_behind_and_a_failed_one_everything() {
    require!(root);
    require!(tool "rsync");
    let (here, there) = two();
    let cli = here.cli();
    launch(cli);
    let theirs = Leaks::look(&there);
    let text = cli.fails(["move", "c1", "box:c2"]);
    assert!(text.contains("stop it"), "{text}");
    cli.ok(["stop", "-f", "c1"]);
    there.cli().ok(["create", "busybox", "taken"]);
    let text = cli.fails(["move", "c1", "box:taken"]);
    assert!(text.contains("already exists"), "{text}");
    refuse_with_reasons(cli, there.cli());
    there.cli().ok(["delete", "taken"]);
    theirs.assert_none(&there);
    cli.ok(["move", "c1", "box:"]);
    assert_eq!(cli.status("c1"), None);
    cli.ok(["move", "box:c1", "local:c9"]);
    assert_eq!(there.cli().status("c1"), None);
    theirs.assert_none(&there);
    check(cli, "c9");
}

/// What the other server does not take is told as it tells it, whoever dials.
#[track_caller]
fn refuse_with_reasons(cli: Cli<'_>, other: Cli<'_>) {
    let limit = |value: &str| other.ok(["project", "set", "default", "limits.instances", value]);
    limit("1");
    for mode in [&[][..], &["--mode", "push"], &["--mode", "relay"]] {
        let text = cli.fails([&["copy", "c1", "box:c2"][..], mode].concat());
        assert!(text.contains("limits.instances"), "{mode:?}: {text}");
    }
    limit("");
    for (typed, named) in [
        (["-p", "nosuchprof"], "`nosuchprof`"),
        (["-c", "bad.key=1"], "`bad.key`"),
        (["-d", "eth0,bad=1"], "`bad`"),
        (["--storage", "nosuch"], "`nosuch`"),
    ] {
        for mode in ["pull", "push"] {
            let copy = ["copy", "c1", "box:c2", "--mode", mode];
            let text = cli.fails([&copy[..], &typed].concat());
            assert!(text.contains(named), "{typed:?} {mode}: {text}");
        }
    }
}

#[test]
fn a_server_that_dies_on_the_way_leaves_nothing() {
    require!(root);
    require!(tool "rsync");
    let (here, mut there) = two();
    let cli = here.cli();
    launch(cli);
    // Much that does not compress: the copy is under way when the other one dies.
    cli.exec(
        "c1",
        &["sh", "-c", "head -c 300000000 /dev/urandom > /root/big"],
    );
    let (mine, theirs) = look(&here, &there);
    for pause in [100, 400, 1500] {
        let copy = std::thread::scope(|scope| {
            let copy = scope.spawn(|| here.cli().run(["copy", "c1", "box:c2"]));
            std::thread::sleep(std::time::Duration::from_millis(pause));
            there.kill();
            copy.join().unwrap()
        });
        assert_ne!(copy.code, 0, "{copy}");
        there.start();
        assert_eq!(there.cli().status("c2"), None);
        assert_eq!(cli.status("c1").as_deref(), Some("Running"));
        cli.exec("c1", &["true"]);
    }
    mine.assert_none(&here);
    theirs.assert_none(&there);
}
