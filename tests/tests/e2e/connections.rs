//! Connections over TLS: they can be used again or say that they can't, replies are not lost with them, and a proxy in front
//! says who is behind it.

use rlxc_tests::{Daemon, require, source_tree};

use super::remote::{Far, listening, token};

#[track_caller]
fn hold(daemon: &Daemon, task: &str) {
    let script = source_tree().join("tests/tests/e2e/connections.py");
    let far = daemon.dir().with_file_name("far");
    let line = [
        "python3",
        &script.to_string_lossy(),
        &far.to_string_lossy(),
        task,
    ]
    .map(str::to_owned);
    let output = daemon.world().enter(line).output().unwrap();
    let held = output.stdout.contains("held");
    assert!(held, "{output}\n{}", daemon.log_tail());
}

fn trusted() -> Daemon {
    let daemon = listening();
    Far::new(&daemon, "far").ok(&["remote", "add", "box", &token(&daemon, "far")]);
    daemon
}

#[test]
fn a_connection_can_be_used_again_or_says_that_it_ends() {
    require!(root);
    let daemon = trusted();
    hold(&daemon, "bodies_come_after_their_heads");
    hold(&daemon, "what_nobody_reads_does_not_hide_the_reply");
}

#[test]
fn a_proxy_that_is_trusted_says_for_whom_it_connects() {
    require!(root);
    let daemon = trusted();
    hold(&daemon, "nobody_else_is_believed");
    let key = "core.https_trusted_proxy";
    let text = daemon
        .cli()
        .fails(["config", "set", &format!("{key}=near")]);
    assert!(text.contains(key), "{text}");
    daemon
        .cli()
        .ok(["config", "set", &format!("{key}=127.0.0.1")]);
    hold(&daemon, "a_trusted_proxy_says_for_whom");
    daemon.cli().ok(["config", "unset", key]);
    hold(&daemon, "nobody_else_is_believed");
}
