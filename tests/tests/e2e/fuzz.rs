//! The whole API under schemathesis, which makes requests from `docs/openapi.json`: nothing of what it sends is answered by
//! a server error, or not at all.

use std::path::Path;
use std::time::Duration;

use rlxc_tests::{Daemon, Uplink, require, skip, source_tree};
use serde_json::{Value, json};

use super::remote::{Far, token};

/// For how long requests are made.
const BUDGET: &str = "60";

/// The path that could end the test by the trust in whoever makes the requests.
const CERTIFICATE: &str = "/1.0/certificates/{fingerprint}";
/// A socket of the service manager's: it stays, whatever `core.https_address` becomes.
const ADDRESS: &str = "127.0.0.1:8443";

/// The document with names that are there beside those that are made up. The one certificate that is changed and removed is
/// somebody else's.
fn document(image: &str, other: &str) -> Value {
    let text = std::fs::read_to_string(source_tree().join("docs/openapi.json")).unwrap();
    let mut document: Value = serde_json::from_str(&text).unwrap();
    let paths = document["paths"].as_object_mut().unwrap();
    let mut methods = paths.remove(CERTIFICATE).unwrap();
    for method in methods.as_object_mut().unwrap().values_mut() {
        let parameters = method["parameters"].as_array_mut().unwrap();
        parameters.retain(|one| one["in"] != "path");
    }
    paths.insert(format!("/1.0/certificates/{other}"), methods);
    for (path, methods) in paths.iter_mut() {
        for parameters in methods.as_object_mut().unwrap().values_mut() {
            let parameters = parameters["parameters"].as_array_mut().unwrap();
            let of_path = parameters.iter_mut().filter(|one| one["in"] == "path");
            for parameter in of_path {
                let name = parameter["name"].as_str().unwrap();
                if let Some(there) = there(path, name, image) {
                    parameter["schema"] =
                        json!({"anyOf": [{"enum": [there]}, {"type": "string", "minLength": 1}]});
                }
            }
        }
    }
    document
}

fn there<'a>(path: &str, name: &str, image: &'a str) -> Option<&'a str> {
    let kind = path.split('/').nth(2)?;
    Some(match (kind, name) {
        ("instances", "name") => "c1",
        ("instances", "snapshot") => "snap0",
        ("images", "fingerprint") => image,
        ("images", "name") => "busybox",
        ("networks", "name") => "rlxcbr0",
        ("profiles", "name") => "used",
        ("projects" | "storage-pools", "name") | (_, "pool") => "default",
        (_, "kind") => "container",
        _ => return None,
    })
}

/// A daemon with a pool and a bridge, at a socket that its configuration can't close.
fn listening() -> Daemon {
    let mut daemon = Daemon::prepared(Uplink::Isolated);
    let socket = daemon.dir().join("unix.socket").display().to_string();
    let directory = format!("RLXC_DIR={}", daemon.dir().display());
    let manager = [
        "systemd-socket-activate",
        "--listen",
        &socket,
        "--listen",
        ADDRESS,
        "--setenv",
        &directory,
    ];
    daemon.start_under(&manager);
    daemon.cli().ok(["admin", "init", "--auto"]);
    daemon
}

/// The fingerprint of a certificate that is trusted and that nobody uses.
fn other(daemon: &Daemon) -> String {
    let list = daemon.cli().ok(["config", "trust", "list", "-f", "json"]);
    let list: Vec<Value> = serde_json::from_str(&list).unwrap();
    let other = list.iter().find(|one| one["name"] == "other").unwrap();
    other["fingerprint"].as_str().unwrap().to_owned()
}

/// What there is to be asked for.
fn furnish(daemon: &Daemon) -> String {
    rlxc_tests::image::import_busybox(daemon);
    let cli = daemon.cli();
    cli.ok(["profile", "create", "used"]);
    cli.ok(["launch", "busybox", "c1"]);
    cli.ok(["config", "set", "c1", "security.protection.delete=true"]);
    cli.ok(["snapshot", "create", "c1", "snap0"]);
    let images: Value = serde_json::from_str(&cli.ok(["image", "list", "-f", "json"])).unwrap();
    images[0]["fingerprint"].as_str().unwrap().to_owned()
}

#[test]
fn no_request_is_answered_by_a_server_error_or_never() {
    require!(root);
    require!(tool "systemd-socket-activate");
    let program = source_tree().join("target/schemathesis/bin/schemathesis");
    if !program.is_file() {
        return skip(module_path!(), "needs schemathesis: scripts/packages test");
    }
    let daemon = listening();
    let image = furnish(&daemon);
    for name in ["far", "other"] {
        Far::new(&daemon, name).ok(&["remote", "add", "box", &token(&daemon, name)]);
    }
    let work = daemon.dir().with_file_name("far");
    let schema = work.join("openapi.json");
    std::fs::write(&schema, document(&image, &other(&daemon)).to_string()).unwrap();
    let file = |path: &Path| path.display().to_string();
    let line = [
        "env",
        "-C",
        &file(&work),
        &file(&program),
        "run",
        &file(&schema),
        &format!("--url=https://{ADDRESS}"),
        "--tls-verify=false",
        &format!("--request-cert={}", file(&work.join("client.crt"))),
        &format!("--request-cert-key={}", file(&work.join("client.key"))),
        "--request-timeout=20",
        "--checks=not_a_server_error",
        "--phases=coverage,fuzzing",
        "--max-time",
        BUDGET,
        "--seed=1",
        "--no-shrink",
        "--continue-on-failure",
        "--generation-database=none",
        "--suppress-health-check=all",
        "--warnings=off",
        "--no-color",
    ]
    .map(str::to_owned);
    let run = daemon
        .world()
        .enter(line)
        .deadline(Duration::from_secs(170));
    let output = run.output().unwrap();
    assert!(output.code == 0, "{output}");
    // It was the daemon that answered, and it still does.
    assert!(output.stdout.contains("No issues found"), "{output}");
    daemon.cli().ok(["list"]);
    let log = daemon.log_tail();
    assert!(!log.contains("panicked"), "{log}");
}
