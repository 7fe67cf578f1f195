//! The daemon is killed while an archive is made, or comes in: the next one finds nothing of it, and all that was there.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use rlxc_tests::process::eventually;
use rlxc_tests::{Daemon, Leaks, require};
use serde_json::json;

use super::cancel::{begin, contents, furnish, look};

const SOON: Duration = Duration::from_secs(60);
const VOLUMES: &str = "/1.0/storage-pools/two/volumes/custom";

/// Kills the daemon, and waits until the next one has cleared away what is not in `tree`.
#[track_caller]
fn kill(daemon: &mut Daemon, what: &str, tree: &[String]) {
    assert_ne!(contents(daemon), tree, "{what}: nothing was under way");
    daemon.kill();
    daemon.start();
    eventually(&format!("{what}: it is cleared away"), SOON, || {
        contents(daemon) == tree
    });
}

/// Begins something and kills the daemon in the middle of it.
#[track_caller]
fn half_made(daemon: &mut Daemon, path: &str, body: &serde_json::Value, tree: &[String]) {
    let operation = begin(daemon, path, body);
    eventually("it says how far it is", SOON, || {
        let metadata = look(daemon, &operation)["metadata"].clone();
        let mut keys = metadata.as_object().into_iter().flatten();
        keys.any(|(key, _)| key.ends_with("_progress"))
    });
    kill(daemon, path, tree);
}

/// Sends half of a file, and kills the daemon while it waits for the rest.
#[track_caller]
fn half_sent(daemon: &mut Daemon, path: &str, file: &Path, tree: &[String]) {
    let bytes = std::fs::read(file).unwrap();
    let mut socket = rlxc_tests::api::connect(daemon).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: rlxc\r\nContent-Type: application/octet-stream\r\n\
         X-LXD-name: half\r\nX-LXD-pool: two\r\nContent-Length: {}\r\n\r\n",
        bytes.len()
    );
    socket.write_all(head.as_bytes()).unwrap();
    socket.write_all(&bytes[..bytes.len() / 2]).unwrap();
    eventually("it comes in", SOON, || contents(daemon) != tree);
    kill(daemon, path, tree);
}

/// What every daemon tells of all this.
fn told(daemon: &Daemon) -> Vec<String> {
    let cli = daemon.cli();
    let all: [&[&str]; 5] = [
        &["list", "-f", "csv", "-c", "ns"],
        &["image", "list", "-f", "csv", "-c", "lf"],
        &["storage", "volume", "list", "two", "-f", "csv"],
        &["query", "/1.0/instances/c1/backups"],
        &["operation", "list", "-f", "csv"],
    ];
    all.iter()
        .map(|words| cli.ok(words.iter().copied()))
        .collect()
}

#[test]
fn archives_that_were_under_way_are_gone_and_the_rest_is_there() {
    require!(root);
    let mut daemon = furnish();
    let file = |name: &str| daemon.dir().with_file_name(name);
    let (backup, volume, image) = (file("backup"), file("volume"), file("image"));
    let shown = [&backup, &volume, &image].map(|path| path.display().to_string());
    let cli = daemon.cli();
    let made = ["publish", "c1", "--alias", "kept", "--compression", "none"];
    cli.ok(made);
    cli.ok(["image", "export", "kept", &shown[2]]);
    cli.ok(["storage", "volume", "create", "two", "data"]);
    let data = "storage-pools/two/custom/1/rootfs/random";
    std::fs::copy(file("random"), daemon.dir().join(data)).unwrap();
    for path in [&shown[0], &shown[1]] {
        let plain = [path.as_str(), "--compression", "none"];
        let words: &[&str] = if *path == shown[0] {
            &["export", "c1"]
        } else {
            &["storage", "volume", "export", "two", "data"]
        };
        cli.ok(words.iter().copied().chain(plain));
    }
    let plain = json!({"name": "kept", "compression_algorithm": "none"});
    let operation = begin(&daemon, "/1.0/instances/c1/backups", &plain);
    eventually("a backup is kept", SOON, || {
        look(&daemon, &operation)["status"] == "Success"
    });
    let (before, tree, all) = (Leaks::look(&daemon), contents(&daemon), told(&daemon));
    let slow = "compression_algorithm";
    let publish = json!({"source": {"type": "instance", "name": "c1"}, slow: "xz"});
    half_made(&mut daemon, "/1.0/images", &publish, &tree);
    let one = json!({"name": "b1", slow: "xz"});
    half_made(&mut daemon, "/1.0/instances/c1/backups", &one, &tree);
    half_made(&mut daemon, &format!("{VOLUMES}/data/backups"), &one, &tree);
    half_sent(&mut daemon, "/1.0/instances", &backup, &tree);
    half_sent(&mut daemon, VOLUMES, &volume, &tree);
    half_sent(&mut daemon, "/1.0/images", &image, &tree);
    assert_eq!(told(&daemon), all);
    before.assert_none(&daemon);
    let cli = daemon.cli();
    cli.ok(["import", &shown[0], "c2"]);
    cli.ok(["start", "c2"]);
    let of = |name: &str| cli.exec(name, &["sha256sum", "/root/11"]);
    let restored = of("c2");
    cli.ok(["start", "c1"]);
    assert_eq!(of("c1"), restored);
    cli.ok(["delete", "-f", "c1", "c2"]);
}
