//! The console: its log, and a terminal on it.

use std::time::Duration;

use rlxc_tests::process::eventually;
use rlxc_tests::require;
use rlxc_tests::terminal::Terminal;

use super::daemon_with_c1;

#[test]
fn the_log_shows_the_boot() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let cli = daemon.cli();
    eventually("the boot is in the log", Duration::from_secs(10), || {
        cli.ok(["console", "c1", "--show-log"])
            .contains("booting busybox")
    });
}

#[test]
fn one_can_type_on_it_and_leave() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let mut terminal = Terminal::spawn(&daemon.cli().command(["console", "c1"]), 80, 24).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    terminal.send("\r").unwrap();
    terminal.send("echo on$((1+1))console\r").unwrap();
    terminal.expect("on2console");
    terminal.send("\u{1}q").unwrap();
    assert_eq!(terminal.wait(), 0);
    assert_eq!(
        daemon.cli().status("c1").as_deref(),
        Some("Running"),
        "leaving ends nothing"
    );
}

#[test]
fn it_is_taken_over_by_force_only() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let cli = daemon.cli();
    let mut first = Terminal::spawn(&cli.command(["console", "c1"]), 80, 24).unwrap();
    // Who attaches sees what was there.
    first.expect("booting busybox");
    let text = cli.fails(["console", "c1"]);
    assert!(text.contains("--force"), "{text}");
    let mut second = Terminal::spawn(&cli.command(["console", "c1", "--force"]), 80, 24).unwrap();
    second.expect("booting busybox");
    second.send("\recho on$((1+1))console\r").unwrap();
    second.expect("on2console");
    second.send("\u{1}q").unwrap();
    assert_eq!(second.wait(), 0);
}
