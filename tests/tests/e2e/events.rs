//! What the daemon tells: events as they happen, and what it remembers of them.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rlxc_tests::{Daemon, require};
use serde_json::Value;

use super::daemon_with_c1;

/// `rlxc monitor` and what it prints.
struct Monitor {
    child: Child,
    lines: Receiver<String>,
}

impl Monitor {
    fn start(daemon: &Daemon, args: &[&str]) -> Self {
        let line = ["monitor"].iter().chain(args).copied();
        let mut command = daemon.cli().command(line).command();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        // It is there once it hears something.
        let monitor = Self { child, lines };
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            daemon.cli().ok(["config", "set", "user.wake=1"]);
            daemon.cli().ok(["config", "set", "c1", "user.wake=1"]);
            match monitor.lines.recv_timeout(Duration::from_millis(300)) {
                Ok(_) => break,
                Err(_) => assert!(Instant::now() < end, "the monitor hears nothing"),
            }
        }
        while monitor
            .lines
            .recv_timeout(Duration::from_millis(300))
            .is_ok()
        {}
        monitor
    }

    /// Reads until a line fits.
    #[track_caller]
    fn until(&self, what: &str, fits: impl Fn(&str) -> bool) -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(Duration::from_secs(20)) {
                Ok(line) => {
                    let found = fits(&line);
                    seen.push(line);
                    if found {
                        return seen;
                    }
                }
                Err(error) => panic!("{what} is not heard, {error}: {seen:#?}"),
            }
        }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _killed = self.child.kill().is_ok();
        let _ended = self.child.wait().is_ok();
    }
}

fn actions(lines: &[String]) -> Vec<String> {
    let action = |line: &String| {
        let event: Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["type"], "lifecycle");
        let metadata = &event["metadata"];
        assert_eq!(metadata["requestor"]["username"], "root", "{line}");
        assert_eq!(metadata["project"], "default", "{line}");
        assert!(metadata["name"].is_string(), "{line}");
        metadata["action"].as_str().unwrap().to_owned()
    };
    lines.iter().map(action).collect()
}

#[test]
fn what_happens_is_told_as_it_happens() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let cli = daemon.cli();
    let monitor = Monitor::start(&daemon, &["--type=lifecycle", "-f", "json"]);
    cli.ok(["stop", "-f", "c1"]);
    cli.ok(["rename", "c1", "c2"]);
    cli.ok(["start", "c2"]);
    cli.ok(["snapshot", "create", "c2", "s0"]);
    cli.ok(["profile", "create", "p1"]);
    cli.ok(["delete", "-f", "c2"]);
    let heard = monitor.until("the end", |line| line.contains("instance-deleted"));
    assert_eq!(
        actions(&heard),
        [
            "instance-stopped",
            "instance-renamed",
            "instance-started",
            "instance-snapshot-created",
            "profile-created",
            "instance-stopped",
            "instance-deleted"
        ]
    );
}

#[test]
fn what_somebody_looks_at_is_told_too() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let monitor = Monitor::start(&daemon, &["--type=lifecycle", "-f", "json"]);
    let images = daemon.cli().ok(["image", "list", "-f", "json"]);
    let images: Value = serde_json::from_str(&images).unwrap();
    let image = format!("/1.0/images/{}", images[0]["fingerprint"].as_str().unwrap());
    let c1 = "/1.0/instances/c1";
    for (method, path, body) in [
        ("GET", format!("{c1}/console"), ""),
        ("DELETE", format!("{c1}/console"), ""),
        ("GET", format!("{c1}/metadata"), ""),
        ("POST", format!("{c1}/backups"), r#"{"name":"b0"}"#),
    ] {
        let reply = rlxc_tests::api::ask(&daemon, method, &path, "", body);
        assert!(reply.status < 300, "{path}: {}", reply.body);
    }
    let mut heard = monitor.until("the backup", |line| line.contains("backup-created"));
    for (method, path) in [
        ("GET", format!("{c1}/backups/b0/export")),
        ("POST", format!("{image}/secret")),
        ("GET", format!("{image}/export")),
    ] {
        let reply = rlxc_tests::api::ask(&daemon, method, &path, "", "");
        assert!(reply.status < 300, "{path}");
    }
    heard.extend(monitor.until("the image", |line| line.contains("image-retrieved")));
    assert_eq!(
        actions(&heard),
        [
            "instance-console-retrieved",
            "instance-console-reset",
            "instance-metadata-retrieved",
            "instance-backup-created",
            "instance-backup-retrieved",
            "image-secret-created",
            "image-retrieved"
        ]
    );
}

#[test]
fn the_log_is_told_to_those_who_want_it() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let pretty = Monitor::start(&daemon, &["--pretty", "--type=logging"]);
    daemon.cli().ok(["profile", "create", "p1"]);
    let heard = pretty.until("the log", |line| line.contains("profile-created"));
    let line = heard.last().unwrap();
    assert!(
        line.contains("INFO") && line.contains("[logging] lifecycle"),
        "{line}"
    );
    assert!(line.contains("source=/1.0/profiles/p1"), "{line}");
    let text = daemon.cli().fails(["monitor", "--type=gossip"]);
    assert!(text.contains("lifecycle"), "{text}");
}

#[test]
fn listeners_that_do_not_read_cost_nothing() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let cli = daemon.cli();
    // Two hundred that ask for all events and never read one.
    let script = format!(
        "import socket, time\n\
         held = []\n\
         for i in range(200):\n\
         \x20s = socket.socket(socket.AF_UNIX); s.connect('{}/unix.socket')\n\
         \x20s.sendall(b'GET /1.0/events HTTP/1.1\\r\\nHost: x\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n'\n\
         \x20 b'Sec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\\r\\n\\r\\n')\n\
         \x20held.append(s)\n\
         print('ready', flush=True)\n\
         time.sleep(120)\n",
        daemon.dir().display()
    );
    let mut command = daemon.world().enter(["python3", "-c", &script]).command();
    let mut crowd = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    BufReader::new(crowd.stdout.take().unwrap())
        .read_line(&mut ready)
        .unwrap();
    assert_eq!(ready.trim(), "ready");
    let memory = || {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", daemon.pid().unwrap())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS"))
            .unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    for _ in 0..20 {
        cli.ok(["config", "set", "c1", "user.a=b"]);
    }
    let before = memory();
    let long = "x".repeat(20_000);
    for round in 0..60 {
        cli.ok(["config", "set", "c1", &format!("user.a={round}{long}")]);
    }
    let begun = Instant::now();
    cli.ok(["list"]);
    assert!(begun.elapsed() < Duration::from_secs(3));
    let grown = memory().saturating_sub(before);
    assert!(grown < 60 * 1024, "{grown} KiB more, {before} KiB before");
    let _killed = crowd.kill().is_ok();
    let _ended = crowd.wait().is_ok();
}

#[test]
fn history_outlives_names_instances_and_daemons() {
    require!(root);
    let (mut daemon, _) = daemon_with_c1();
    {
        let cli = daemon.cli();
        cli.ok(["exec", "c1", "true"]);
        cli.ok(["stop", "-f", "c1"]);
        cli.ok(["rename", "c1", "c2"]);
        cli.ok(["delete", "c2"]);
    }
    daemon.stop();
    daemon.start();
    let cli = daemon.cli();
    let history = cli.ok(["history", "c2", "-f", "csv"]);
    let order = [
        "Creating instance",
        "Executing command",
        "Stopping instance",
        "Renaming instance",
        "Deleting instance",
    ];
    let mut rest = history.as_str();
    for what in order {
        let at = rest.find(what);
        assert!(at.is_some(), "{what}: {history}");
        rest = &rest[at.unwrap_or_default()..];
    }
    assert!(
        history.lines().all(|line| line.contains(",root,")),
        "{history}"
    );
    let text = cli.fails(["history", "nobody"]);
    assert!(text.contains("nothing is remembered"), "{text}");
    let all = cli.ok(["operation", "list", "--all", "-f", "csv"]);
    assert!(all.contains("Renaming instance"), "{all}");
    assert_eq!(cli.ok(["operation", "list", "-f", "csv"]), "");
    let id = all.lines().last().unwrap().split(',').next().unwrap();
    let shown = cli.ok(["operation", "show", id]);
    assert!(shown.contains("username: root"), "{shown}");
    assert!(cli.fails(["operation", "delete", id]).contains("is over"));
}
