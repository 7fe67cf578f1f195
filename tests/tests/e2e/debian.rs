//! The main job on real input: Debian with systemd, built by the product, on a bridge with NAT.

use std::time::Duration;

use rlxc_tests::process::eventually;
use rlxc_tests::{Cli, Daemon, Leaks, Uplink, require};

const BOOT: Duration = Duration::from_secs(60);

#[test]
fn debian_runs_as_on_a_machine_of_its_own() {
    require!(root);
    let daemon = Daemon::initialized_with(Uplink::Nat);
    rlxc_tests::image::import_debian(&daemon);
    let cli = daemon.cli();
    cli.ok(["launch", "debian/12", "warmup"]);
    cli.ok(["delete", "-f", "warmup"]);
    let before = Leaks::look(&daemon);
    cli.ok(["launch", "debian/12", "dev1"]);
    assert_running(cli, "dev1");
    assert_found_by_name(cli);
    assert_apt_works(cli);
    assert_own_machine_id(cli);
    assert_restores_what_was_removed(cli);
    assert_reboots_from_inside(cli);
    cli.ok(["stop", "dev1"]);
    cli.ok(["start", "dev1"]);
    assert_running(cli, "dev1");
    cli.ok(["delete", "-f", "dev1", "dev2"]);
    before.assert_none(&daemon);
}

/// Not `degraded`: every unit that was started is up.
#[track_caller]
fn assert_running(cli: Cli<'_>, name: &str) {
    let mut state = String::new();
    eventually("systemd has something to say", BOOT, || {
        state = cli
            .run([
                "exec",
                name,
                "--",
                "systemctl",
                "is-system-running",
                "--wait",
            ])
            .stdout;
        !state.trim().is_empty() && state.trim() != "offline"
    });
    let failed = cli
        .run(["exec", name, "--", "systemctl", "--failed", "--no-legend"])
        .stdout;
    assert_eq!(state.trim(), "running", "failed units: {failed}");
}

#[track_caller]
fn assert_found_by_name(cli: Cli<'_>) {
    let address = cli.wait_ipv4("dev1");
    cli.ok(["launch", "debian/12", "dev2"]);
    eventually("dev2 finds dev1 by name", BOOT, || {
        let output = cli.run(["exec", "dev2", "--", "getent", "ahostsv4", "dev1.rlxc"]);
        output.stdout.contains(&address)
    });
}

#[track_caller]
fn assert_apt_works(cli: Cli<'_>) {
    if reachable(&archive(cli)) {
        let output = cli.run(["exec", "dev1", "--", "apt-get", "update"]);
        assert!(
            output.code == 0 && !output.stderr.contains("Failed"),
            "{output}"
        );
    }
}

#[track_caller]
fn assert_own_machine_id(cli: Cli<'_>) {
    let id = |name| cli.exec(name, &["cat", "/etc/machine-id"]);
    assert_eq!(id("dev1").len(), 32);
    assert_ne!(id("dev1"), id("dev2"), "none is baked into the image");
}

#[track_caller]
fn assert_restores_what_was_removed(cli: Cli<'_>) {
    cli.ok(["snapshot", "create", "dev1", "clean"]);
    cli.exec("dev1", &["rm", "-rf", "/etc/apt"]);
    cli.ok(["snapshot", "restore", "dev1", "clean"]);
    eventually("dev1 is back", BOOT, || {
        cli.run(["exec", "dev1", "--", "test", "-d", "/etc/apt"])
            .code
            == 0
    });
    assert_running(cli, "dev1");
}

#[track_caller]
fn assert_reboots_from_inside(cli: Cli<'_>) {
    let boot = || cli.run(["exec", "dev1", "--", "stat", "-c", "%y", "/proc/1"]);
    let before = boot().stdout;
    cli.run(["exec", "dev1", "--", "systemctl", "reboot"]);
    eventually("dev1 boots again", BOOT, || {
        let now = boot();
        now.code == 0 && now.stdout != before
    });
    assert_running(cli, "dev1");
}

/// Where the image takes its packages from.
fn archive(cli: Cli<'_>) -> String {
    let sources = cli.exec(
        "dev1",
        &[
            "sh",
            "-c",
            "cat /etc/apt/sources.list* /etc/apt/sources.list.d/* 2>/dev/null || true",
        ],
    );
    let host = sources
        .split_once("://")
        .and_then(|(_, rest)| rest.split(['/', ' ', '\n']).next());
    host.unwrap_or_else(|| panic!("the image has no archive: {sources}"))
        .to_owned()
}

/// Whether the host itself reaches an archive.
fn reachable(archive: &str) -> bool {
    use std::net::{TcpStream, ToSocketAddrs as _};
    let addresses = (archive, 80)
        .to_socket_addrs()
        .map(Vec::from_iter)
        .unwrap_or_default();
    addresses
        .iter()
        .any(|address| TcpStream::connect_timeout(address, Duration::from_secs(3)).is_ok())
}
