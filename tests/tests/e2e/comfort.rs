//! What makes the command line pleasant: aliases, filters, completion, man pages, `top`.

use std::time::Duration;

use rlxc_tests::cli::{Cli, complaint};
use rlxc_tests::require;
use rlxc_tests::terminal::Terminal;

use crate::daemon_with_c1;

/// What bash is offered for the last word.
fn completed(cli: Cli<'_>, words: &[&str]) -> String {
    let asked = cli.command(["--", "rlxc"].iter().chain(words).copied());
    let index = words.len().to_string();
    let asked = asked.env("COMPLETE", "bash");
    let output = asked.env("_CLAP_COMPLETE_INDEX", &index).output().unwrap();
    output.stdout.trim().to_owned()
}

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

    assert_eq!(completed(cli, &["exec", "c"]), "c1");
    // A key follows its owner.
    let key = completed(cli, &["config", "get", "c1", "limits.cpu.al"]);
    assert_eq!(key, "limits.cpu.allowance");

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

#[test]
fn yaml_on_stdin_makes_and_changes_things() {
    require!(root);
    let (daemon, _before) = daemon_with_c1();
    let cli = daemon.cli();
    let fed = |yaml: &str, line: &str| {
        let output = cli.feed(yaml.as_bytes(), line.split(' '));
        assert!(output.code == 0, "{line}: {output}");
    };
    let keys = "config: {user.a: one, user.b: two}\ndescription: of a pipe\n";
    fed(keys, "create --empty c2 -c user.b=three");
    assert_eq!(cli.ok(["config", "get", "c2", "user.a"]), "one");
    assert_eq!(cli.ok(["config", "get", "c2", "user.b"]), "three");
    for (kind, name, more) in [
        ("profile", "p1", ""),
        ("project", "team", ""),
        ("network", "n1", ""),
        ("network acl", "a1", ""),
        ("network zone", "z.example", ""),
        ("storage", "s1", " dir"),
        ("storage volume", "s1 v1", ""),
    ] {
        fed(keys, &format!("{kind} create {name}{more} user.b=three"));
        let shown = cli.ok(format!("{kind} show {name}").split(' '));
        for part in ["user.a: one", "user.b: three", "of a pipe"] {
            assert!(shown.contains(part), "{kind}: {shown}");
        }
        // What is shown can be given back, and changes nothing.
        fed(&shown, &format!("{kind} edit {name}"));
        assert_eq!(cli.ok(format!("{kind} show {name}").split(' ')), shown);
    }
    for (yaml, wrong) in [("", "is empty"), ("confg: {}", "did you mean `config`?")] {
        let output = cli.feed(yaml.as_bytes(), ["profile", "edit", "p1"]);
        let text = complaint(&output);
        assert!(text.contains(wrong), "{text}");
    }
    assert_eq!(cli.ok(["profile", "get", "p1", "user.a"]), "one");
}
