//! Instances that travel between us and a real LXD, which runs in a world of its own.

use std::process::{Child, Stdio};
use std::time::Duration;

use rlxc_tests::process::{Output, eventually};
use rlxc_tests::{Daemon, Uplink, World, require};
use tempfile::TempDir;

use super::migrate::{launch, listen};
use super::travel::check;

/// LXD with its defaults, listening.
struct Lxd {
    world: World,
    daemon: Child,
    dir: TempDir,
    address: &'static str,
    /// Of the server of ours.
    other: &'static str,
}

impl Lxd {
    /// In a world with a cable to that of a server of ours, which listens at the other end.
    #[track_caller]
    fn beside(ours: &Daemon) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("rlxc-lxd.")
            .tempdir_in("/var/tmp")
            .unwrap();
        std::fs::set_permissions(
            dir.path(),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .unwrap();
        std::fs::create_dir(dir.path().join("d")).unwrap();
        let world = World::new(Uplink::Isolated).unwrap();
        let [address, other] = world.connect(ours.world());
        listen(ours, other);
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let daemon = world
            .enter([
                "env",
                &variable(&dir, "LXD_DIR", "d"),
                "lxd",
                "--group",
                "root",
            ])
            .command()
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let lxd = Self {
            world,
            daemon,
            dir,
            address,
            other,
        };
        eventually("LXD answers", Duration::from_secs(60), || {
            lxd.run(&["lxc", "list"]).code == 0
        });
        lxd.ok(&["lxd", "init", "--auto"]);
        let listen = format!("{}:8443", lxd.address);
        lxd.ok(&["lxc", "config", "set", "core.https_address", &listen]);
        lxd
    }

    fn run(&self, line: &[&str]) -> Output {
        let envs = [
            "env".to_owned(),
            variable(&self.dir, "LXD_DIR", "d"),
            variable(&self.dir, "LXD_CONF", "conf"),
        ];
        let line = envs
            .into_iter()
            .chain(line.iter().map(|&word| word.to_owned()));
        let run = self.world.enter(line).deadline(Duration::from_secs(120));
        run.output().unwrap()
    }

    #[track_caller]
    fn ok(&self, line: &[&str]) -> String {
        let output = self.run(line);
        let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        let tail: Vec<&str> = log.lines().rev().take(15).collect();
        assert!(output.code == 0, "{line:?}: {output}\n{}", tail.join("\n"));
        output.stdout.trim_end().to_owned()
    }

    /// A daemon of ours, as the remote `box`.
    #[track_caller]
    fn know(&self, ours: &Daemon) {
        let token = ours.cli().ok(["-q", "config", "trust", "add", "lxd"]);
        let url = format!("https://{}:8443", self.other);
        self.ok(&[
            "lxc",
            "remote",
            "add",
            "box",
            &url,
            "--accept-certificate",
            "--password",
            &token,
        ]);
    }

    #[track_caller]
    fn check_stopped(&self, name: &str) {
        let file = format!("{name}/root/work");
        assert_eq!(self.ok(&["lxc", "file", "pull", &file, "-"]), "two");
        let file = format!("{name}/home/me/x");
        let mode = self.ok(&["lxc", "file", "pull", &file, "-"]);
        assert_eq!(mode, "");
        assert!(self.ok(&["lxc", "info", name]).contains("s1"));
    }
}

fn variable(dir: &TempDir, key: &str, name: &str) -> String {
    format!("{key}={}", dir.path().join(name).display())
}

impl Drop for Lxd {
    fn drop(&mut self) {
        let _gone = self.daemon.kill().is_ok() && self.daemon.wait().is_ok();
    }
}

#[test]
fn backups_go_to_lxd_and_come_from_it() {
    require!(root);
    require!(tool "lxd");
    let ours = Daemon::initialized();
    let lxd = Lxd::beside(&ours);
    launch(ours.cli());
    let there = lxd.dir.path().join("ours.tar.zst").display().to_string();
    ours.cli().ok(["export", "c1", &there]);
    lxd.ok(&["lxc", "import", &there, "c1"]);
    lxd.check_stopped("c1");
    let back = lxd.dir.path().join("lxds.tar.gz").display().to_string();
    lxd.ok(&["lxc", "export", "c1", &back]);
    ours.cli().ok(["import", &back, "c2"]);
    check(ours.cli(), "c2");
}

#[test]
fn the_stock_client_copies_between_lxd_and_us() {
    require!(root);
    require!(tool "lxd");
    let ours = Daemon::initialized();
    let lxd = Lxd::beside(&ours);
    lxd.know(&ours);
    launch(ours.cli());
    // LXD takes a file to be that of the snapshot before if both have one size and were written in one second.
    ours.cli()
        .exec("c1", &["sh", "-c", "sleep 2; echo two > /root/work"]);
    ours.cli().ok(["stop", "-f", "c1"]);
    for mode in ["pull", "push", "relay"] {
        lxd.ok(&["lxc", "copy", "box:c1", "local:c2", "--mode", mode]);
        lxd.check_stopped("c2");
        lxd.ok(&["lxc", "copy", "local:c2", "box:c3", "--mode", mode]);
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
        lxd.ok(&["lxc", "delete", "c2"]);
    }
    lxd.ok(&["lxc", "move", "box:c1", "local:c1"]);
    assert_eq!(ours.cli().status("c1"), None);
    lxd.ok(&["lxc", "move", "local:c1", "box:c1"]);
    assert_eq!(lxd.ok(&["lxc", "list", "-c", "n", "-f", "csv"]), "");
    assert_eq!(ours.cli().status("c1").as_deref(), Some("Stopped"));
}
