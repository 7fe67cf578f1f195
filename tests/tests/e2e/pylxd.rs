//! pylxd, LXD's library for Python, unchanged, on the unix socket and over TLS.

use std::time::Duration;

use rlxc_tests::{Daemon, require, skip, source_tree};

#[test]
fn pylxd_works_unchanged() {
    require!(root);
    let python = source_tree().join("target/pylxd/bin/python");
    if !python.is_file() {
        return skip(
            module_path!(),
            "needs pylxd, which scripts/packages installs",
        );
    }
    let daemon = Daemon::initialized();
    let cli = daemon.cli();
    rlxc_tests::image::import_busybox(&daemon);
    cli.ok(["config", "set", "core.https_address=127.0.0.1:8443"]);
    let (certificate, key) = certificate(&daemon);
    cli.ok([
        "config",
        "trust",
        "add-certificate",
        &certificate,
        "--name",
        "py",
    ]);
    let script = source_tree().join("tests/tests/e2e/by_pylxd.py");
    let line = [
        "env".to_owned(),
        // With either, `requests` checks certificates although it was told not to.
        "--unset=REQUESTS_CA_BUNDLE".to_owned(),
        "--unset=CURL_CA_BUNDLE".to_owned(),
        format!("LXD_DIR={}", daemon.dir().display()),
        "PYTHONWARNINGS=ignore".to_owned(),
        python.display().to_string(),
        script.display().to_string(),
        "https://127.0.0.1:8443".to_owned(),
        certificate,
        key,
    ];
    let run = daemon
        .world()
        .enter(line)
        .deadline(Duration::from_secs(150));
    let output = run.output().unwrap();
    assert!(
        output.stdout.contains("walked"),
        "{output}\n{}",
        daemon.log_tail()
    );
}

/// The paths of a new certificate and its key.
fn certificate(daemon: &Daemon) -> (String, String) {
    let (certificate, key) = (
        daemon.dir().with_file_name("py.crt"),
        daemon.dir().with_file_name("py.key"),
    );
    let (certificate, key) = (certificate.display().to_string(), key.display().to_string());
    daemon.world().run(&[
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:secp384r1",
        "-nodes",
        "-days",
        "30",
        "-subj",
        "/CN=py",
        "-out",
        &certificate,
        "-keyout",
        &key,
    ]);
    (certificate, key)
}
