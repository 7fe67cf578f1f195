//! What users get wrong, and hosts that lack something: a clear error each, and nothing half made.

use std::path::Path;

use rlxc_tests::{Daemon, Leaks, Uplink, require};

use super::{daemon_with_c1, warm_up};

#[test]
fn a_name_that_is_taken_or_invalid_is_refused() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let cli = daemon.cli();
    let before = Leaks::look(&daemon);
    let text = cli.fails(["launch", "busybox", "c1"]);
    assert!(text.contains("c1") && text.contains("already"), "{text}");
    let long = "x".repeat(64);
    for name in [
        "-dash",
        "dash-",
        "under_score",
        "with space",
        "1234",
        "sl/ash",
        "dot.dot",
        &long,
        "ünï",
    ] {
        let text = cli.fails(["launch", "busybox", "--", name]);
        assert!(text.len() > 15, "{name}: {text}");
        assert_eq!(cli.status(name), None);
    }
    before.assert_none(&daemon);
}

#[test]
fn an_unknown_image_is_answered_with_the_nearest_names() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let cli = daemon.cli();
    let before = Leaks::look(&daemon);
    let text = cli.fails(["launch", "busibox", "c2"]);
    assert!(text.contains("busybox"), "it names the nearest: {text}");
    assert_eq!(cli.status("c2"), None);
    before.assert_none(&daemon);
}

#[test]
fn an_unknown_instance_is_answered_with_the_nearest_name() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let text = daemon.cli().fails(["stop", "c11"]);
    assert!(text.contains("c11"), "{text}");
    for verb in ["start", "delete", "info"] {
        daemon.cli().fails([verb, "nobody"]);
    }
}

#[test]
fn a_running_one_is_not_deleted_without_force() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let text = daemon.cli().fails(["delete", "c1"]);
    assert!(text.contains("running"), "{text}");
    assert_eq!(daemon.cli().exec("c1", &["hostname"]), "c1");
}

#[test]
fn a_second_daemon_on_the_directory_is_refused() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let output = daemon.second().unwrap();
    assert_ne!(output.code, 0);
    assert!(
        !daemon.cli().exec("c1", &["hostname"]).is_empty(),
        "the first one works on"
    );
}

#[test]
fn without_a_daemon_the_client_says_how_to_start_it() {
    require!(root);
    let daemon = Daemon::prepared(Uplink::Isolated);
    let text = daemon.cli().fails(["list"]);
    assert!(text.contains("rlxcd"), "it names the daemon: {text}");
    assert!(text.contains("hint"), "{text}");
}

#[test]
fn a_missing_tool_is_named_and_nothing_is_half_made() {
    require!(root);
    let mut daemon = Daemon::prepared(Uplink::Isolated);
    for path in ["/usr/sbin/dnsmasq", "/usr/bin/dnsmasq", "/sbin/dnsmasq"] {
        if Path::new(path).is_file() {
            // A file that can't be executed, as if its package were broken.
            daemon.world().blank(Path::new(path));
        }
    }
    daemon.start();
    let before = Leaks::look(&daemon);
    let text = daemon.cli().fails(["network", "create", "extra0"]);
    assert!(text.contains("dnsmasq"), "{text}");
    before.assert_none(&daemon);
}

#[test]
fn a_build_without_mmdebstrap_says_what_to_install() {
    require!(root);
    require!(tool "mmdebstrap");
    let mut daemon = Daemon::prepared(Uplink::Isolated);
    daemon.world().blank(Path::new("/usr/bin/mmdebstrap"));
    daemon.start();
    let before = Leaks::look(&daemon);
    let text = daemon.cli().fails(["image", "build", "debian/12"]);
    assert!(text.contains("mmdebstrap"), "{text}");
    before.assert_none(&daemon);
}

#[test]
fn an_unknown_release_is_answered_with_the_known_ones() {
    require!(root);
    let mut daemon = Daemon::prepared(Uplink::Isolated);
    daemon.start();
    let text = daemon.cli().fails(["image", "build", "debian/bookwrm"]);
    assert!(
        text.contains("bookworm") || text.contains("debian/12"),
        "{text}"
    );
}

#[test]
fn too_few_subordinate_ids_are_told() {
    require!(root);
    let mut daemon = Daemon::prepared(Uplink::Isolated);
    for path in ["/etc/subuid", "/etc/subgid"] {
        daemon.world().replace(Path::new(path), "root:100000:10\n");
    }
    let text = daemon.try_start().unwrap_err().to_string() + &daemon.log_tail();
    assert!(
        text.contains("/etc/subuid") && text.contains("root:"),
        "it says what line to add: {text}"
    );
}

#[test]
fn a_start_that_fails_leaves_a_stopped_instance_and_nothing_else() {
    require!(root);
    let daemon = Daemon::initialized();
    rlxc_tests::image::import_busybox(&daemon);
    warm_up(&daemon);
    let cli = daemon.cli();
    cli.ok(["launch", "busybox", "broken"]);
    cli.exec("broken", &["rm", "/sbin/init", "/bin/init"]);
    cli.ok(["stop", "-f", "broken"]);
    let before = Leaks::look(&daemon);
    let text = cli.fails(["start", "broken"]);
    assert!(
        text.contains("init"),
        "it says what could not be run: {text}"
    );
    assert_eq!(cli.status("broken").as_deref(), Some("Stopped"));
    before.assert_none(&daemon);
}

#[test]
fn bad_words_get_usage_not_a_trace() {
    require!(root);
    let daemon = Daemon::prepared(Uplink::Isolated);
    for args in [
        &["lanch"][..],
        &["launch"],
        &["exec"],
        &["list", "--format", "xml"],
        &["config", "set", "x"],
    ] {
        let output = daemon.cli().run(args.iter().copied());
        assert!(output.code == 1 || output.code == 2, "{output}");
        assert!(
            !output.stderr.is_empty() && !output.stderr.contains("panicked"),
            "{output}"
        );
    }
}
