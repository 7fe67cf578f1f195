//! What makes the command line pleasant: aliases, filters, completion, man pages, `top`.

use std::time::Duration;

use rlxc_tests::require;
use rlxc_tests::terminal::Terminal;

use crate::daemon_with_c1;

#[test]
fn aliases_filters_completion_top_and_man_pages() {
    require!(root);
    let (daemon, _before) = daemon_with_c1();
    let cli = daemon.cli();
    cli.ok(["alias", "add", "ll", "list -f csv -c ns"]);
    cli.ok([
        "alias",
        "add",
        "as",
        "exec @ARG1@ --env WHO=@ARG2@ -- @ARGS@",
    ]);
    assert_eq!(cli.ok(["ll", "c1"]), "c1,RUNNING");
    assert_eq!(cli.ok(["as", "c1", "ann", "sh", "-c", "echo $WHO"]), "ann");
    let text = cli.fails(["alias", "add", "ll", "list"]);
    assert!(text.contains("already"), "{text}");
    cli.ok(["alias", "rename", "ll", "l2"]);
    assert!(cli.ok(["alias", "list"]).contains("list -f csv -c ns"));
    cli.ok(["alias", "remove", "l2", "as"]);
    cli.fails(["ll"]);

    let address = cli.wait_ipv4("c1");
    cli.ok(["config", "set", "c1", "user.owner=ann"]);
    for filter in [
        "c",
        ".*1$",
        "u.owner=a.*",
        &format!("ipv4={address}"),
        "status=running",
        "type=container",
    ] {
        assert_eq!(
            cli.ok(["list", "-f", "csv", "-c", "n", filter]),
            "c1",
            "{filter}"
        );
    }
    assert_eq!(
        cli.ok(["list", "-f", "csv", "-c", "n", "user.owner=bob"]),
        ""
    );
    assert_eq!(
        cli.ok(["list", "-f", "csv", "-c", "nb,user.owner:WHO:2"]),
        "c1,default,an"
    );

    let asked = cli.command(["--", "rlxc", "exec", "c"]);
    let asked = asked.env("COMPLETE", "bash");
    let output = asked.env("_CLAP_COMPLETE_INDEX", "2").output().unwrap();
    assert_eq!(output.stdout.trim(), "c1", "{output}");

    let top = cli.ok(["top"]);
    assert!(top.contains("NAME") && top.contains("c1"), "{top}");
    let mut terminal = Terminal::spawn(&cli.command(["top", "-d", "0.2"]), 100, 30).unwrap();
    terminal.expect("CPU%");
    terminal.expect("c1");
    terminal.send("q").unwrap();
    assert_eq!(terminal.wait(), 0);

    let pages = daemon.dir().with_file_name("man");
    cli.ok_within(
        Duration::from_secs(60),
        &["manpage", &pages.to_string_lossy()],
    );
    let page = std::fs::read_to_string(pages.join("rlxc-launch.1")).unwrap();
    assert!(page.contains(".TH rlxc-launch 1"), "{page}");
}
