//! Proxy devices: connections from one side of an instance's network to the other.

use std::os::unix::net::UnixListener;
use std::time::Duration;

use rlxc_tests::process::{Output, eventually};
use rlxc_tests::{Daemon, require, source_tree};

use super::daemon_with_c1;

/// Answers each connection to a TCP port of an instance with what it says.
fn echo(daemon: &Daemon, name: &str, port: &str) {
    let script = format!("(while true; do nc -l -p {port} -e cat; done) >/dev/null 2>&1 &");
    daemon.cli().exec(name, &["sh", "-c", &script]);
}

/// What the host of the test hears when it says `said` to a port.
fn say(daemon: &Daemon, port: &str, said: &str) -> String {
    let script = format!("printf '{said}' | timeout 3 busybox nc -w 2 127.0.0.1 {port}");
    let output = daemon.world().enter(["sh", "-c", &script]).output();
    output.map(|output| output.stdout).unwrap_or_default()
}

#[test]
fn a_connection_outlives_the_daemon_and_ends_with_the_instance() {
    require!(root);
    let (mut daemon, before) = daemon_with_c1();
    echo(&daemon, "c1", "90");
    let add = ["config", "device", "add", "c1", "echo", "proxy"];
    let keys = ["listen=tcp:127.0.0.1:9090", "connect=tcp:127.0.0.1:90"];
    daemon.cli().ok(add.iter().chain(&keys).copied());
    eventually("the proxy passes on", Duration::from_secs(10), || {
        say(&daemon, "9090", "hello") == "hello"
    });
    let script = "(echo one; sleep 4; echo two; sleep 1) | busybox nc 127.0.0.1 9090";
    let talk = daemon.world().enter(["sh", "-c", script]);
    let talk = std::thread::spawn(move || talk.output().map(|output| output.stdout));
    std::thread::sleep(Duration::from_secs(1));
    daemon.kill();
    daemon.start();
    let heard = talk.join().ok().and_then(Result::ok).unwrap_or_default();
    assert_eq!(heard, "one\ntwo\n");
    eventually("and so it does afterwards", Duration::from_secs(10), || {
        say(&daemon, "9090", "again") == "again"
    });
    let cli = daemon.cli();
    cli.ok(["restart", "-f", "c1"]);
    echo(&daemon, "c1", "90");
    eventually("and after a restart", Duration::from_secs(10), || {
        say(&daemon, "9090", "again") == "again"
    });
    cli.ok(["config", "device", "remove", "c1", "echo"]);
    assert_eq!(say(&daemon, "9090", "hello"), "");
    cli.ok(["delete", "-f", "c1"]);
    before.assert_none(&daemon);
}

#[test]
fn a_port_in_use_is_refused_with_who_holds_it() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let cli = daemon.cli();
    let keys = ["listen=tcp:127.0.0.1:9090", "connect=tcp:127.0.0.1:90"];
    let add = |name| {
        ["config", "device", "add", name, "web", "proxy"]
            .into_iter()
            .chain(keys)
    };
    cli.ok(add("c1"));
    cli.ok(["launch", "busybox", "c2"]);
    let text = cli.fails(add("c2"));
    assert!(
        text.contains("in use by proxy `web` of instance `c1`"),
        "{text}"
    );
    cli.ok(["stop", "-f", "c2"]);
    cli.ok(add("c2"));
    let text = cli.fails(["start", "c2"]);
    assert!(
        text.contains("in use by proxy `web` of instance `c1`"),
        "{text}"
    );
    assert_eq!(cli.status("c2").as_deref(), Some("Stopped"));
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "one story, told from the beginning to the end"
)]
fn an_instance_reaches_the_host_and_nat_needs_no_process() {
    require!(root);
    let (daemon, before) = daemon_with_c1();
    let cli = daemon.cli();
    // Ends by itself with the file, so that it is not taken for a leak.
    let flag = daemon.dir().with_file_name("serve-7000");
    std::fs::write(&flag, "").unwrap();
    let serve = format!(
        "(while [ -e {0} ]; do echo host | timeout 1 busybox nc -l -p 7000; done) >/dev/null 2>&1 &",
        flag.display()
    );
    daemon.world().run(&["sh", "-c", &serve]);
    cli.ok([
        "config",
        "device",
        "add",
        "c1",
        "up",
        "proxy",
        "bind=instance",
        "listen=tcp:127.0.0.1:7001",
        "connect=tcp:127.0.0.1:7000",
    ]);
    eventually("c1 reaches the host", Duration::from_secs(10), || {
        cli.exec(
            "c1",
            &[
                "sh",
                "-c",
                "timeout 2 nc -w 1 127.0.0.1 7001 </dev/null || true",
            ],
        ) == "host"
    });
    let address = cli.wait_ipv4("c1");
    echo(&daemon, "c1", "90");
    cli.ok([
        "config",
        "device",
        "override",
        "c1",
        "eth0",
        &format!("ipv4.address={address}"),
    ]);
    cli.ok([
        "config",
        "device",
        "add",
        "c1",
        "nat",
        "proxy",
        "nat=true",
        "listen=tcp:127.0.0.9:9090",
        "connect=tcp:0.0.0.0:90",
    ]);
    let rules = daemon.world().run(&["nft", "list", "ruleset"]).stdout;
    assert!(
        rules.contains(&format!("dnat ip to {address}:90")),
        "{rules}"
    );
    // Nobody else listens where rules would take it away.
    let add = ["config", "device", "add", "c1", "plain", "proxy"];
    let plain = |listen| {
        add.iter()
            .copied()
            .chain([listen, "connect=tcp:127.0.0.1:90"])
    };
    let text = cli.fails(plain("listen=tcp:0.0.0.0:9090"));
    assert!(
        text.contains("taken by proxy `nat` of instance `c1`"),
        "{text}"
    );
    assert!(!text.contains("start the container"), "{text}");
    cli.ok(plain("listen=tcp:127.0.0.9:9091"));
    let second = [
        "nat=true",
        "listen=tcp:127.0.0.9:9091-9092",
        "connect=tcp:0.0.0.0:90",
    ];
    let line = ["config", "device", "add", "c1", "nat2", "proxy"];
    let text = cli.fails(line.iter().chain(&second).copied());
    assert!(
        text.contains("taken by proxy `plain` of instance `c1`"),
        "{text}"
    );
    cli.ok(["config", "device", "remove", "c1", "plain"]);
    cli.ok(["stop", "-f", "c1"]);
    let rules = daemon.world().run(&["nft", "list", "ruleset"]).stdout;
    assert!(
        !rules.contains("dnat"),
        "rules go with the instance: {rules}"
    );
    cli.ok(["delete", "-f", "c1"]);
    std::fs::remove_file(&flag).unwrap();
    before.assert_none(&daemon);
}

/// Runs a task of `proxies.py` in the host's network, or in that of an instance.
fn script(daemon: &Daemon, inside: Option<&str>, words: &[&str]) -> rlxc_tests::process::Run {
    let path = source_tree().join("tests/tests/e2e/proxies.py");
    let mut line = Vec::new();
    if let Some(name) = inside {
        let state = daemon.cli().instance(name).unwrap();
        let init = state["state"]["pid"].as_u64().unwrap().to_string();
        line.extend(["nsenter".to_owned(), "-n".to_owned(), "-t".to_owned(), init]);
    }
    line.extend(["python3".to_owned(), path.display().to_string()]);
    line.extend(words.iter().map(|word| (*word).to_owned()));
    daemon.world().enter(line)
}

#[track_caller]
fn holds(daemon: &Daemon, words: &[&str]) {
    let run = script(daemon, None, words).deadline(Duration::from_secs(60));
    let output: Output = run.output().unwrap();
    assert!(output.stdout.contains("held"), "{words:?}: {output}");
}

/// What answers in `c1`, until its standard input ends.
fn answering(daemon: &Daemon) -> std::process::Child {
    let mut child = script(daemon, Some("c1"), &["serve"])
        .command()
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut stdout = std::io::BufReader::new(child.stdout.as_mut().unwrap());
    std::io::BufRead::read_line(&mut stdout, &mut said).unwrap();
    assert_eq!(said, "serving\n");
    child
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "one story, told from the beginning to the end"
)]
fn streams_datagrams_and_sockets_pass() {
    require!(root);
    require!(tool "python3");
    let (daemon, before) = daemon_with_c1();
    let mut serving = answering(&daemon);
    let path = daemon.dir().with_file_name("proxy.sock");
    let unix = format!("listen=unix:{}", path.display());
    for (name, keys) in [
        (
            "many",
            "listen=tcp:127.0.0.1:8000 connect=tcp:127.0.0.1:7000",
        ),
        (
            "some",
            "listen=tcp:127.0.0.1:8001-8003 connect=tcp:127.0.0.1:7001-7003",
        ),
        (
            "datagrams",
            "listen=udp:127.0.0.1:8000 connect=udp:127.0.0.1:7000",
        ),
        (
            "header",
            "listen=tcp:127.0.0.1:8010 connect=tcp:127.0.0.1:7010 proxy_protocol=true",
        ),
        (
            "path",
            &format!("{unix} connect=tcp:127.0.0.1:7000 uid=123 gid=124 mode=0660"),
        ),
    ] {
        let line = ["config", "device", "add", "c1", name, "proxy"];
        daemon
            .cli()
            .ok(line.into_iter().chain(keys.split_whitespace()));
    }
    for task in ["half_closed", "ranges", "sessions", "protocol", "thousands"] {
        holds(&daemon, &[task]);
    }
    let socket = path.display().to_string();
    holds(&daemon, &["by_path", &socket]);
    let shown = daemon.world().run(&["stat", "-c", "%u %g %a", &socket]);
    assert_eq!(shown.stdout.trim(), "123 124 660");
    let cli = daemon.cli();
    for (keys, why) in [
        ("listen=tcp:127.0.0.1:8005", "`connect`"),
        (
            "listen=tcp:localhost:8005 connect=tcp:127.0.0.1:1",
            "`localhost`",
        ),
        (
            "listen=tcp:127.0.0.1:70000 connect=tcp:127.0.0.1:1",
            "70000",
        ),
        ("listen=tcp:127.0.0.1:8005 connect=udp:127.0.0.1:1", "UDP"),
        (
            "listen=tcp:127.0.0.1:8005-8006 connect=tcp:127.0.0.1:1-3",
            "3",
        ),
        (
            "listen=tcp:127.0.0.1:8005 connect=tcp:127.0.0.1:1 mode=9",
            "mode=9",
        ),
        (
            "listen=tcp:127.0.0.1:8005 connect=tcp:127.0.0.1:1 bind=moon",
            "bind=moon",
        ),
        (
            "listen=tcp:203.0.113.7:8005 connect=tcp:127.0.0.1:1",
            "203.0.113.7",
        ),
    ] {
        let line = ["config", "device", "add", "c1", "wrong", "proxy"];
        let text = cli.fails(line.into_iter().chain(keys.split_whitespace()));
        assert!(text.contains(why), "{keys}: {text}");
    }
    cli.ok(["delete", "-f", "c1"]);
    drop(serving.stdin.take());
    serving.wait().unwrap();
    before.assert_none(&daemon);
}

#[test]
fn a_unix_socket_goes_with_whoever_listened_on_it() {
    require!(root);
    let (mut daemon, before) = daemon_with_c1();
    let socket = daemon.dir().with_file_name("proxy.sock");
    let listen = format!("listen=unix:{}", socket.display());
    let add = ["config", "device", "add", "c1", "sock", "proxy"];
    let add: Vec<&str> = add
        .into_iter()
        .chain([listen.as_str(), "connect=tcp:127.0.0.1:90"])
        .collect();
    let cli = daemon.cli();
    cli.ok(&add);
    assert!(socket.exists());
    cli.ok(["config", "device", "remove", "c1", "sock"]);
    assert!(!socket.exists(), "it went with the device");
    cli.ok(&add);
    cli.ok(["stop", "-f", "c1"]);
    assert!(!socket.exists(), "it went with the instance");
    cli.ok(["start", "c1"]);
    assert!(socket.exists());
    // Nobody is there when the instance ends.
    let init = cli.instance("c1").unwrap()["state"]["pid"].to_string();
    daemon.kill();
    daemon.world().run(&["kill", "-9", &init]);
    assert!(socket.exists());
    daemon.start();
    eventually(
        "it is found at the next start",
        Duration::from_secs(10),
        || !socket.exists(),
    );
    // One that somebody left there is in nobody's way; what somebody listens on, or a file, stays.
    drop(UnixListener::bind(&socket).unwrap());
    let cli = daemon.cli();
    cli.ok(["start", "c1"]);
    cli.ok(["stop", "-f", "c1"]);
    assert!(!socket.exists());
    let listener = UnixListener::bind(&socket).unwrap();
    let text = cli.fails(["start", "c1"]);
    assert!(text.contains("in use") && socket.exists(), "{text}");
    drop(listener);
    std::fs::remove_file(&socket).unwrap();
    std::fs::write(&socket, "a file").unwrap();
    let text = cli.fails(["start", "c1"]);
    assert!(text.contains("in use"), "{text}");
    assert!(socket.is_file(), "a file of somebody's stays");
    std::fs::remove_file(&socket).unwrap();
    cli.ok(["config", "device", "remove", "c1", "sock"]);
    cli.ok(["start", "c1"]);
    let inside = [
        "bind=instance",
        "listen=unix:/srv.sock",
        "connect=tcp:127.0.0.1:90",
    ];
    cli.ok(add[..6].iter().copied().chain(inside));
    cli.exec("c1", &["test", "-S", "/srv.sock"]);
    cli.ok(["config", "device", "remove", "c1", "sock"]);
    cli.exec("c1", &["test", "!", "-e", "/srv.sock"]);
    cli.ok(["delete", "-f", "c1"]);
    before.assert_none(&daemon);
}
