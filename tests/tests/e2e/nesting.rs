//! Containers in containers: the distribution's Docker, podman and systemd-nspawn, and rlxcd itself.

use std::time::Duration;

use rlxc_tests::process::eventually;
use rlxc_tests::{Cli, Daemon, Uplink, require};

pub(super) const PACKAGES: &str = "busybox-static,dnsmasq-base,docker.io,fuse2fs,iproute2,iptables,libssl3,netavark,nftables,podman,systemd-container";
const LONG: Duration = Duration::from_secs(120);

#[test]
fn containers_run_in_containers() {
    require!(root);
    let daemon = Daemon::initialized_with(Uplink::Isolated);
    rlxc_tests::image::import_debian_with(&daemon, PACKAGES);
    let cli = daemon.cli();
    cli.ok([
        "create",
        "debian/12",
        "c1",
        "-c",
        "security.nesting=true",
        "-c",
        "security.idmap.size=196608",
    ]);
    // Their own overlays can't stand on another one.
    give_volume(cli, "docker", "/var/lib/docker");
    give_volume(cli, "podman", "/var/lib/containers");
    cli.ok(["start", "c1"]);
    eventually("systemd is up", LONG, || {
        let state = cli.run([
            "exec",
            "c1",
            "--",
            "systemctl",
            "is-system-running",
            "--wait",
        ]);
        ["running", "degraded"].contains(&state.stdout.trim())
    });
    shell(
        cli,
        "mkdir -p /tmp/image/bin /tmp/image/www; cp /bin/busybox /tmp/image/bin/; echo served > /tmp/image/www/index.html",
    );
    docker(cli);
    podman(cli);
    nspawn(cli);
    rlxc_itself(cli);
    cli.ok(["delete", "-f", "c1"]);
}

#[track_caller]
fn give_volume(cli: Cli<'_>, name: &str, path: &str) {
    cli.ok(["storage", "volume", "create", "default", name]);
    let source = format!("source={name}");
    let path = format!("path={path}");
    cli.ok([
        "config",
        "device",
        "add",
        "c1",
        name,
        "disk",
        "pool=default",
        &source,
        &path,
    ]);
}

#[track_caller]
fn shell(cli: Cli<'_>, line: &str) -> String {
    cli.ok_within(LONG, &["exec", "c1", "--", "sh", "-ec", line])
}

#[track_caller]
fn docker(cli: Cli<'_>) {
    shell(
        cli,
        "systemctl start docker || { journalctl -u docker --no-pager | tail -30; exit 1; }",
    );
    assert_eq!(shell(cli, "docker info -f '{{.Driver}}'"), "overlay2");
    applications(cli, "docker", "");
    shell(cli, "systemctl stop docker docker.socket");
}

/// Podman limits processes if nobody says otherwise, and knows the unified hierarchy only: nothing but its plain command is
/// needed where that one can.
#[track_caller]
fn podman(cli: Cli<'_>) {
    let driver = shell(cli, "podman info -f '{{.Store.GraphDriverName}}'");
    assert_eq!(driver, "overlay");
    let controllers = shell(cli, "cat /sys/fs/cgroup/cgroup.controllers");
    let limited = controllers.split(' ').any(|one| one == "pids");
    applications(cli, "podman", if limited { "" } else { "--pids-limit=0" });
}

/// Containers of a local image, one of them on a bridge of its own, with a port.
#[track_caller]
fn applications(cli: Cli<'_>, engine: &str, options: &str) {
    shell(
        cli,
        &format!("tar -C /tmp/image -c . | {engine} import - local"),
    );
    let run = format!("{engine} run {options}");
    let inside = shell(cli, &format!("{run} --rm local /bin/busybox echo inside"));
    assert_eq!(inside, "inside");
    shell(
        cli,
        &format!("{run} -d --name web -p 8080:80 local /bin/busybox httpd -f -p 80 -h /www"),
    );
    eventually("the port of the container answers", LONG, || {
        cli.run([
            "exec",
            "c1",
            "--",
            "busybox",
            "wget",
            "-qO-",
            "http://127.0.0.1:8080/",
        ])
        .stdout
        .trim()
            == "served"
    });
    let beside = shell(
        cli,
        &format!("{engine} exec web /bin/busybox cat /www/index.html"),
    );
    assert_eq!(beside, "served");
    // Its init does not listen to any other signal.
    shell(cli, &format!("{engine} kill web; {engine} rm -f web"));
}

#[track_caller]
fn nspawn(cli: Cli<'_>) {
    let line = "mkdir -p /tmp/image/usr /tmp/image/etc /tmp/image/tmp; touch /tmp/image/etc/os-release; \
                systemd-run -q --wait --pipe -p Delegate=yes -E SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 systemd-nspawn -q --register=no --keep-unit -D /tmp/image /bin/busybox echo inside";
    assert!(shell(cli, line).contains("inside"));
}

/// An instance of an rlxcd that is itself in an instance.
#[track_caller]
fn rlxc_itself(cli: Cli<'_>) {
    for program in ["rlxc", "rlxcd", "rlxc-monitor"] {
        let path = rlxc_tests::binaries().join(program);
        cli.ok([
            "file",
            "push",
            &path.display().to_string(),
            "c1/usr/local/bin/",
        ]);
    }
    let image = rlxc_tests::image::busybox().unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), image).unwrap();
    cli.ok([
        "file",
        "push",
        &file.path().display().to_string(),
        "c1/root/busybox.tar",
    ]);
    shell(
        cli,
        "printf 'root:70000:65536\\n' > /etc/subuid; cp /etc/subuid /etc/subgid; systemd-run -q --unit rlxcd -p Delegate=yes rlxcd; \
         rlxc admin waitready; rlxc admin init --auto; rlxc image import /root/busybox.tar --alias busybox",
    );
    shell(
        cli,
        "rlxc launch busybox inner -c security.privileged=true || { journalctl -u rlxcd --no-pager | tail -30; exit 1; }",
    );
    assert_eq!(shell(cli, "rlxc exec inner -- echo inside"), "inside");
    let refused = cli.run(["exec", "c1", "--", "rlxc", "launch", "busybox", "shifted"]);
    assert!(refused.stderr.contains("must be privileged"), "{refused}");
    shell(cli, "rlxc delete -f inner; systemctl stop rlxcd");
}
