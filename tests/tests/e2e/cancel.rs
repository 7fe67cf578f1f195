//! Operations that are cancelled half-way: the work stops, and nothing of it is left.

use std::io::Read as _;
use std::process::Stdio;
use std::time::Duration;

use rlxc_tests::archive::{Archive, fingerprint, metadata, xz};
use rlxc_tests::image_server::{ImageServer, Product, architecture};
use rlxc_tests::process::eventually;
use rlxc_tests::{Daemon, Leaks, require};
use serde_json::{Value, json};

use super::host::Host;

const SOON: Duration = Duration::from_secs(60);

/// Begins an operation.
#[track_caller]
pub(super) fn begin(daemon: &Daemon, path: &str, body: &Value) -> String {
    let reply = rlxc_tests::api::ask(daemon, "POST", path, "", &body.to_string());
    assert_eq!(reply.status, 202, "{path}: {}", reply.body);
    reply.json()["operation"].as_str().unwrap().to_owned()
}

#[track_caller]
pub(super) fn look(daemon: &Daemon, operation: &str) -> Value {
    rlxc_tests::api::ask(daemon, "GET", operation, "", "").json()["metadata"].clone()
}

/// Cancels an operation and waits for its end.
#[track_caller]
fn cancel(daemon: &Daemon, operation: &str) {
    let before = look(daemon, operation);
    let reply = rlxc_tests::api::ask(daemon, "DELETE", operation, "", "");
    assert_eq!(reply.status, 200, "{}\n{before:#}", reply.body);
    let mut last = Value::Null;
    eventually("the operation ends", SOON, || {
        last = look(daemon, operation);
        last["status_code"].as_i64().unwrap() >= 200
    });
    assert_eq!(last["status"], "Cancelled", "{last:#}");
}

/// Begins an operation, waits until it tells how far it is, and cancels it.
#[track_caller]
pub(super) fn cancel_half_way(daemon: &Daemon, path: &str, body: &Value) {
    let operation = begin(daemon, path, body);
    eventually("it says how far it is", SOON, || {
        let view = look(daemon, &operation);
        assert_eq!(view["status"], "Running", "{view:#}");
        let metadata = view["metadata"].clone();
        let mut keys = metadata.as_object().into_iter().flatten();
        keys.any(|(key, _)| key.ends_with("_progress"))
    });
    cancel(daemon, &operation);
}

/// An instance with files that take a while, on a pool where copies are copies, and a second such pool.
pub(super) fn furnish() -> Daemon {
    let daemon = Daemon::initialized();
    rlxc_tests::image::import_busybox(&daemon);
    let cli = daemon.cli();
    cli.ok(["storage", "create", "one", "dir"]);
    cli.ok(["storage", "create", "two", "dir"]);
    cli.ok(["init", "busybox", "c1", "--storage", "one"]);
    let mut random = vec![0; 10 << 20];
    let mut source = std::fs::File::open("/dev/urandom").unwrap();
    source.read_exact(&mut random).unwrap();
    let file = daemon.dir().with_file_name("random");
    std::fs::write(&file, random).unwrap();
    for number in 0..12 {
        let target = format!("c1/root/{number}");
        cli.ok(["file", "push", &file.to_string_lossy(), &target]);
    }
    daemon
}

/// Names below the daemon's directory where something could be left.
pub(super) fn contents(daemon: &Daemon) -> Vec<String> {
    let places = [
        "scratch",
        "images",
        "backups",
        "storage-pools/one",
        "storage-pools/two",
    ];
    let mut names = Vec::new();
    for place in places {
        for entry in walk(&daemon.dir().join(place), 3) {
            names.push(entry);
        }
    }
    names.sort();
    names
}

fn walk(path: &std::path::Path, depth: u32) -> Vec<String> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let of = |entry: std::fs::DirEntry| {
        let mut names = vec![entry.path().display().to_string()];
        if depth > 0 {
            names.extend(walk(&entry.path(), depth - 1));
        }
        names
    };
    entries.flat_map(of).collect()
}

#[test]
fn who_exports_is_told_why_it_broke_off() {
    require!(root);
    let daemon = furnish();
    let export = ["export", "c1", "-", "--compression", "none"];
    let mut command = daemon.cli().command(export).command();
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Half-way: the rest is not read before it is cancelled.
    let mut some = [0; 4096];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut some)
        .unwrap();
    let running = rlxc_tests::api::ask(&daemon, "GET", "/1.0/operations", "", "").json();
    let operation = running["metadata"]["running"][0].as_str().unwrap();
    let reply = rlxc_tests::api::ask(&daemon, "DELETE", operation, "", "");
    assert_eq!(reply.status, 200, "{}", reply.body);
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("cancelled"), "{said}");
    assert!(!said.contains("the daemon ended"), "{said}");
}

#[test]
fn work_on_an_instance_stops_and_leaves_nothing() {
    require!(root);
    let daemon = furnish();
    let (before, tree) = (Leaks::look(&daemon), contents(&daemon));
    // What was begun goes when the work has noticed, which may be after the operation has ended.
    let emptied = || {
        eventually("nothing half made is left", Duration::from_secs(10), || {
            contents(&daemon) == tree
        });
    };
    let publish =
        json!({"source": {"type": "instance", "name": "c1"}, "compression_algorithm": "xz"});
    cancel_half_way(&daemon, "/1.0/images", &publish);
    emptied();
    let backup = json!({"name": "b1", "compression_algorithm": "xz"});
    cancel_half_way(&daemon, "/1.0/instances/c1/backups", &backup);
    emptied();
    let root = json!({"root": {"type": "disk", "path": "/", "pool": "two"}});
    let copy = json!({"name": "c2", "devices": root, "source": {"type": "copy", "source": "c1"}});
    cancel(&daemon, &begin(&daemon, "/1.0/instances", &copy));
    emptied();
    let moved = json!({"name": "c1", "pool": "two", "migration": false});
    cancel(&daemon, &begin(&daemon, "/1.0/instances/c1", &moved));
    emptied();
    let cli = daemon.cli();
    assert_eq!(cli.ok(["list", "-c", "n", "-f", "csv"]), "c1");
    before.assert_none(&daemon);
    // It was stopped, not broken.
    cli.ok(["copy", "c1", "c2", "--storage", "two"]);
    cli.ok(["start", "c1", "c2"]);
    cli.ok(["delete", "-f", "c1", "c2"]);
}

#[test]
fn a_download_and_what_waits_for_it_stop_and_leave_nothing() {
    require!(root);
    let server = ImageServer::http().unwrap();
    let meta = Archive::new().file("metadata.yaml", 0o644, metadata("slow").as_bytes());
    let meta = xz(&meta.finish()).unwrap();
    let (_, tar) = rlxc_tests::image::busybox_split().unwrap();
    let tar = xz(&tar).unwrap();
    let combined = json!({"combined_rootxz_sha256": fingerprint(&[&meta, &tar])});
    let product = Product {
        aliases: "slow",
        architecture: architecture(),
        serial: "1",
    };
    let files: [(&str, &[u8], Value); 2] = [
        ("lxd.tar.xz", &meta, combined),
        ("root.tar.xz", &tar, Value::Null),
    ];
    server.publish(product, &files);
    server.stall("root.tar.xz");
    let host = Host::start_with(&[("no_proxy", "127.0.0.1")]);
    let source = json!({"type": "image", "protocol": "simplestreams", "server": server.url(), "alias": "slow", "mode": "pull"});
    let launch = json!({"name": "c1", "source": source});
    cancel_half_way(&host.daemon, "/1.0/instances", &launch);
    host.assert_tidy();
    assert_eq!(host.ok(&["list", "-f", "csv"]), "");
    let copy = json!({"source": source});
    cancel_half_way(&host.daemon, "/1.0/images", &copy);
    host.assert_tidy();
    assert!(host.images().is_empty());
}
