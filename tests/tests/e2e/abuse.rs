//! What no honest client sends: WebSockets without their secret or full of noise, bodies and heads without an end.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rlxc_tests::api::{ask, connect, frame, send, upgrade};
use rlxc_tests::{Daemon, require};
use serde_json::{Value, json};

use super::daemon_with_c1;

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const PING: u8 = 9;

/// A command that waits for its sockets: the path of its WebSocket and its secrets.
#[track_caller]
pub(super) fn exec(daemon: &Daemon, command: &[&str]) -> (String, Value) {
    let body = json!({"command": command, "wait-for-websocket": true, "interactive": false});
    let path = "/1.0/instances/c1/exec";
    let reply = ask(daemon, "POST", path, "", &body.to_string()).json();
    let operation = reply["operation"].as_str().unwrap_or_default();
    assert!(operation.starts_with("/1.0/operations/"), "{reply}");
    (
        operation.to_owned(),
        reply["metadata"]["metadata"]["fds"].clone(),
    )
}

fn status(daemon: &Daemon, path: &str) -> u16 {
    upgrade(daemon, path).unwrap().0
}

#[track_caller]
pub(super) fn socket(daemon: &Daemon, operation: &str, secret: &Value) -> UnixStream {
    let secret = secret.as_str().unwrap();
    let path = format!("{operation}/websocket?secret={secret}");
    let (status, stream) = upgrade(daemon, &path).unwrap();
    assert_eq!(status, 101, "{path}");
    stream
}

/// Everything on a socket until it is closed, as it came. Who sends no more is not waited for at the end.
fn drain(mut stream: UnixStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    drop(stream.shutdown(std::net::Shutdown::Write));
    let _closed_or_reset = stream.read_to_end(&mut bytes).is_ok();
    bytes
}

#[track_caller]
fn answers(daemon: &Daemon) {
    assert_eq!(ask(daemon, "GET", "/1.0", "", "").status, 200);
    assert_eq!(daemon.cli().exec("c1", &["echo", "alive"]), "alive");
}

/// Resident memory of the daemon, in MiB.
fn resident(daemon: &Daemon) -> u64 {
    let path = format!("/proc/{}/status", daemon.pid().unwrap());
    let text = std::fs::read_to_string(path).unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib / 1024
}

#[test]
fn a_socket_opens_to_its_secret_and_once_only() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let (operation, secrets) = exec(&daemon, &["cat"]);
    let path = format!("{operation}/websocket");
    for query in [
        "",
        "?secret=",
        "?secret=wrong",
        "?secret=%00",
        "?secret[]=x",
    ] {
        let code = status(&daemon, &format!("{path}{query}"));
        assert!((400..500).contains(&code), "{query}: {code}");
    }
    let nowhere = "/1.0/operations/00000000-0000-0000-0000-000000000000/websocket?secret=x";
    assert_eq!(status(&daemon, nowhere), 404);
    assert!((400..500).contains(&status(&daemon, "/1.0/events?type=gossip")));
    // Asked without an upgrade, a secret is not used up.
    let plain = format!("{path}?secret={}", secrets["0"].as_str().unwrap());
    assert_eq!(ask(&daemon, "GET", &plain, "", "").status, 400);
    let mut input = socket(&daemon, &operation, &secrets["0"]);
    let code = status(&daemon, &plain);
    assert!((400..500).contains(&code), "twice: {code}");
    let output = socket(&daemon, &operation, &secrets["1"]);
    let _errors = socket(&daemon, &operation, &secrets["2"]);
    let _control = socket(&daemon, &operation, &secrets["control"]);
    // What was refused did it no harm.
    input.write_all(&frame(BINARY, 5, b"hello")).unwrap();
    input.write_all(&frame(TEXT, 0, b"")).unwrap();
    let came = drain(output);
    assert!(
        came.windows(5).any(|bytes| bytes == b"hello"),
        "{came:02x?}"
    );
    answers(&daemon);
}

#[test]
fn noise_on_the_sockets_of_a_command_harms_nobody() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let noise: Vec<u8> = (0..60_000_u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3])
        .collect();
    let huge = r#"{"command": "window-resize", "args": {"width": "99999999999999999999", "height": "-1"}}"#;
    let signal = r#"{"command": "signal", "signal": -2147483648}"#;
    let controls = [
        frame(BINARY, 60_000, &noise),
        frame(TEXT, 60_000, &noise),
        frame(TEXT, 1, b"{"),
        frame(TEXT, 4, b"null"),
        frame(TEXT, huge.len() as u64, huge.as_bytes()),
        frame(TEXT, signal.len() as u64, signal.as_bytes()),
        frame(PING, 125, &noise[..125]),
        // Against the protocol: a ping that is too long, an unknown opcode, no frame at all.
        frame(PING, 60_000, &noise),
        frame(3, 1, b"x"),
        noise.clone(),
        // A length without the content.
        frame(BINARY, u64::MAX >> 1, &noise),
        frame(BINARY, 1 << 40, &noise),
    ];
    let before = resident(&daemon);
    for bytes in &controls {
        let (operation, secrets) = exec(&daemon, &["cat"]);
        let input = socket(&daemon, &operation, &secrets["0"]);
        let output = socket(&daemon, &operation, &secrets["1"]);
        let _errors = socket(&daemon, &operation, &secrets["2"]);
        let mut control = socket(&daemon, &operation, &secrets["control"]);
        let _taken = control.write_all(bytes).is_ok();
        answers(&daemon);
        drop((input, control));
        drop(drain(output));
        let wait = format!("{operation}/wait?timeout=20");
        let ended = ask(&daemon, "GET", &wait, "", "").json();
        assert!(
            ended["metadata"]["status_code"]
                .as_u64()
                .is_some_and(|code| code >= 200),
            "it ends when its client has gone: {:02x?}: {ended}",
            &bytes[..bytes.len().min(16)]
        );
    }
    let after = resident(&daemon);
    assert!(after < before + 64, "memory: {before} MiB, {after} MiB");
}

#[test]
fn bodies_without_an_end_are_refused_and_kept_out_of_memory() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let before = resident(&daemon);
    let head = |path: &str, more: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}\r\n")
    };
    let big = " ".repeat(20 << 20);
    let spaces = format!("{{{big}}}");
    for path in [
        "/1.0/instances",
        "/1.0/instances/c1/exec",
        "/1.0/profiles",
        "/1.0/networks",
        "/1.0/projects",
        "/1.0/certificates",
    ] {
        let reply = ask(&daemon, "POST", path, "", &spaces);
        assert!(
            matches!(reply.status, 400 | 413),
            "{path}: {} {}",
            reply.head,
            reply.body
        );
        // A length that is claimed is refused before anything of it comes, or as soon as the client gives up.
        let mut stream = connect(&daemon).unwrap();
        let claim = head(path, "Content-Length: 1099511627776\r\n");
        stream.write_all(claim.as_bytes()).unwrap();
        stream.write_all(b"{").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let text = String::from_utf8_lossy(&drain(stream)).into_owned();
        assert!(
            text.is_empty() || text.starts_with("HTTP/1.1 4"),
            "{path}: {text}"
        );
        // Chunks without an end.
        let mut chunks = head(path, "Transfer-Encoding: chunked\r\n").into_bytes();
        for _ in 0..20 {
            chunks.extend(b"100000\r\n");
            chunks.extend(vec![b' '; 1 << 20]);
            chunks.extend(b"\r\n");
        }
        let reply = send(&daemon, &chunks).unwrap();
        assert!(
            matches!(reply.status, 400 | 413),
            "{path}: chunks: {} {}",
            reply.head,
            reply.body
        );
    }
    answers(&daemon);
    let after = resident(&daemon);
    assert!(after < before + 96, "memory: {before} MiB, {after} MiB");
}

#[test]
fn heads_that_are_too_long_or_none_are_refused() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let long = "x".repeat(1 << 20);
    let many = "a: b\r\n".repeat(5000);
    for request in [
        format!("GET /1.0?filter={long} HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("GET /1.0 HTTP/1.1\r\nHost: x\r\nX: {long}\r\n\r\n"),
        format!("GET /1.0 HTTP/1.1\r\nHost: x\r\n{many}\r\n"),
        format!("{long}\r\n\r\n"),
        "GET\r\n\r\n".to_owned(),
        "GET /1.0 HTTP/9.9\r\n\r\n".to_owned(),
        "POST /1.0/profiles HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n".to_owned(),
        "POST /1.0/profiles HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}"
            .to_owned(),
        "POST /1.0/profiles HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n"
            .to_owned(),
    ] {
        let begun = Instant::now();
        // A connection that is closed at once is an answer too.
        if let Ok(reply) = send(&daemon, request.as_bytes()) {
            let shown = &request[..request.len().min(80)];
            assert!(
                reply.status == 0 || (400..500).contains(&reply.status),
                "{shown}: {}",
                reply.head
            );
        }
        assert!(begun.elapsed() < Duration::from_secs(15));
    }
    answers(&daemon);
}
