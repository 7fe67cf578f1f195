//! The guest API: what comes out of `/dev/lxd/sock` and `/dev/incus/sock` of a running instance.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use rlxc_tests::process::eventually;
use rlxc_tests::{Daemon, require};
use serde_json::{Value, json};

use super::daemon_with_c1;

/// A connection to a socket in the file tree of `c1`.
fn try_connect(daemon: &Daemon, socket: &str) -> std::io::Result<UnixStream> {
    let pid = daemon.cli().instance("c1").unwrap()["state"]["pid"].clone();
    let world = format!("/proc/{}/root", daemon.world().init_pid());
    let path = PathBuf::from(format!("{world}/proc/{pid}/root{socket}"));
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    Ok(stream)
}

/// Status and body of a reply.
fn ask(daemon: &Daemon, socket: &str, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = try_connect(daemon, socket).unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: lxd\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

fn get(daemon: &Daemon, path: &str) -> String {
    let (status, body) = ask(daemon, "/dev/lxd/sock", "GET", path, "");
    assert_eq!(status, 200, "{path}: {body}");
    body
}

fn json_of(daemon: &Daemon, path: &str) -> Value {
    serde_json::from_str(&get(daemon, path)).unwrap()
}

#[test]
fn a_guest_learns_what_it_may_and_nothing_else() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let cli = daemon.cli();
    cli.ok([
        "config",
        "set",
        "c1",
        "user.color=blue",
        "cloud-init.user-data=#cloud-config",
        "environment.TOKEN=secret",
    ]);
    for socket in ["/dev/lxd/sock", "/dev/incus/sock"] {
        let (status, body) = ask(&daemon, socket, "GET", "/", "");
        assert_eq!((status, body.as_str()), (200, "[\"/1.0\"]"));
    }
    let about = json!({"api_version": "1.0", "instance_type": "container", "location": "none", "state": "Started"});
    assert_eq!(json_of(&daemon, "/1.0"), about);
    let keys = json!(["/1.0/config/cloud-init.user-data", "/1.0/config/user.color"]);
    assert_eq!(json_of(&daemon, "/1.0/config"), keys);
    assert_eq!(get(&daemon, "/1.0/config/user.color"), "blue");
    for (path, status) in [
        ("/1.0/config/user.none", 404),
        ("/1.0/config/environment.TOKEN", 403),
        ("/1.0/config/volatile.uuid", 403),
        ("/1.0/instances", 404),
        ("/1.0/images/0123456789ab/export", 403),
    ] {
        let (answer, body) = ask(&daemon, "/dev/lxd/sock", "GET", path, "");
        assert_eq!(answer, status, "{path}: {body}");
    }
    let meta = get(&daemon, "/1.0/meta-data");
    assert!(meta.starts_with("#cloud-config\ninstance-id: "), "{meta}");
    assert!(meta.contains("\nlocal-hostname: c1\n"), "{meta}");
    let devices = json_of(&daemon, "/1.0/devices");
    assert_eq!(devices["eth0"]["type"], "nic");
    assert!(devices["eth0"]["hwaddr"].is_string(), "{devices}");
    // The kernel lets root in, and nobody else.
    cli.exec("c1", &["test", "-S", "/dev/lxd/sock"]);
    cli.exec("c1", &["test", "-w", "/dev/incus/sock"]);
    let guest = ["exec", "c1", "--user", "1000", "--"];
    let other = cli.run(
        guest
            .iter()
            .chain(&["test", "-w", "/dev/lxd/sock"])
            .copied(),
    );
    assert_eq!(other.code, 1, "{other}");
    for denied in [
        "touch /dev/lxd/x",
        "rm /dev/lxd/sock",
        "mv /dev/lxd/sock /dev/lxd/y",
    ] {
        assert_ne!(cli.run(["exec", "c1", "--", "sh", "-c", denied]).code, 0);
    }
}

#[test]
fn it_is_switched_while_the_instance_runs_and_survives_the_daemon() {
    require!(root);
    let (mut daemon, before) = daemon_with_c1();
    let is_there = |daemon: &Daemon| try_connect(daemon, "/dev/lxd/sock").is_ok();
    assert!(is_there(&daemon));
    daemon
        .cli()
        .ok(["config", "set", "c1", "security.devlxd=false"]);
    assert!(!is_there(&daemon));
    daemon
        .cli()
        .ok(["config", "unset", "c1", "security.devlxd"]);
    assert!(is_there(&daemon));
    daemon
        .cli()
        .ok(["profile", "set", "default", "security.guestapi=false"]);
    assert!(
        !is_there(&daemon),
        "profiles count, and so does Incus' name"
    );
    daemon
        .cli()
        .ok(["profile", "unset", "default", "security.guestapi"]);
    daemon.kill();
    daemon.start();
    assert_eq!(json_of(&daemon, "/1.0")["state"], "Started");
    daemon.cli().ok(["restart", "-f", "c1"]);
    assert_eq!(json_of(&daemon, "/1.0")["state"], "Started");
    daemon.cli().ok(["delete", "-f", "c1"]);
    before.assert_none(&daemon);
}

#[test]
fn a_guest_says_that_it_is_ready() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let patch = |body: &str| ask(&daemon, "/dev/lxd/sock", "PATCH", "/1.0", body).0;
    assert_eq!(patch(r#"{"state": "Bored"}"#), 400);
    assert_eq!(patch(r#"{"state": "Ready"}"#), 200);
    assert_eq!(json_of(&daemon, "/1.0")["state"], "Ready");
    assert_eq!(daemon.cli().status("c1").as_deref(), Some("Ready"));
    daemon.cli().ok(["restart", "-f", "c1"]);
    assert_eq!(json_of(&daemon, "/1.0")["state"], "Started");
    assert_eq!(daemon.cli().status("c1").as_deref(), Some("Running"));
}

/// The next text message on a websocket.
fn message(stream: &mut UnixStream) -> Value {
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(head[0], 0x81, "a text frame");
    let length = match head[1] {
        126 => {
            let mut long = [0; 2];
            stream.read_exact(&mut long).unwrap();
            usize::from(u16::from_be_bytes(long))
        }
        short => usize::from(short),
    };
    let mut text = vec![0; length];
    stream.read_exact(&mut text).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// Begins to listen to events; nothing if the guest is refused.
fn listen(daemon: &Daemon) -> Option<UnixStream> {
    let mut stream = try_connect(daemon, "/dev/lxd/sock").unwrap();
    let request = "GET /1.0/events HTTP/1.1\r\nHost: lxd\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    head.starts_with(b"HTTP/1.1 101").then_some(stream)
}

#[test]
fn changes_are_told_as_they_come() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let mut events = listen(&daemon).unwrap();
    let cli = daemon.cli();
    cli.ok(["config", "set", "c1", "user.a=1", "limits.processes=500"]);
    let event = message(&mut events);
    assert_eq!(event["type"], "config");
    let change = json!({"key": "user.a", "old_value": "", "value": "1"});
    assert_eq!(event["metadata"], change);
    cli.ok(["config", "device", "add", "c1", "zero", "none"]);
    let event = message(&mut events);
    assert_eq!(event["type"], "device");
    let change = json!({"action": "added", "name": "zero", "config": {"type": "none"}});
    assert_eq!(event["metadata"], change);
}

#[test]
fn a_hostile_guest_uses_up_its_own_share_only() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let cli = daemon.cli();
    cli.ok(["launch", "busybox", "c2"]);
    let listeners = std::iter::from_fn(|| listen(&daemon)).take(100);
    let listeners: Vec<_> = listeners.collect();
    assert_eq!(listeners.len(), 8, "listeners are counted");
    // Beyond what is served at once they wait in the socket's queue, which has an end too.
    let idle: Vec<_> = (0..40)
        .map_while(|_| try_connect(&daemon, "/dev/lxd/sock").ok())
        .collect();
    cli.ok(["config", "set", "c1", "user.x=1"]);
    cli.ok(["config", "set", "c2", "user.x=1"]);
    drop(idle);
    eventually(
        "the guest is answered again",
        Duration::from_secs(20),
        || get(&daemon, "/1.0/config/user.x") == "1",
    );
    // It is hung up on whoever says too much.
    let mut stream = try_connect(&daemon, "/dev/lxd/sock").unwrap();
    let head = "PATCH /1.0 HTTP/1.1\r\nHost: lxd\r\nContent-Length: 1000000000\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let much = vec![b'x'; 1 << 20];
    let sent = (0..1000).take_while(|_| stream.write_all(&much).is_ok());
    assert!(sent.count() < 100, "a large body is not read to its end");
    drop(listeners);
}
