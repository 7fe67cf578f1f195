//! The whole command line: it is consistent, and its help is what we want people to read.

use clap::{CommandFactory, Parser};

use super::{Cli, Verb};

#[test]
fn is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn help_of_all_commands() {
    fn collect(command: &mut clap::Command, path: &str, text: &mut String) {
        let help = command.clone().term_width(100).render_help().to_string();
        text.extend(["──── ", path, "\n", &help, "\n"]);
        let names: Vec<String> = command
            .get_subcommands()
            .map(|sub| sub.get_name().to_owned())
            .collect();
        for name in names.into_iter().filter(|name| name != "help") {
            let sub = command.find_subcommand_mut(&name).unwrap();
            collect(sub, &format!("{path} {name}"), text);
        }
    }
    let mut command = Cli::command().term_width(100);
    command.build();
    insta::assert_snapshot!("help", command.clone().render_help());
    // One file a command: a change to one shows as such.
    for verb in command.get_subcommands_mut() {
        let (name, mut text) = (verb.get_name().to_owned(), String::new());
        collect(verb, &format!("rlxc {name}"), &mut text);
        insta::assert_snapshot!(format!("help_{name}"), text);
    }
}

#[test]
fn exec_leaves_the_commands_options_alone() {
    for line in [
        "rlxc exec c1 -t -- ls -l -t",
        "rlxc exec -t c1 ls -l -t",
        "rlxc exec c1 -t ls -l -t",
    ] {
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        let Verb::Exec(args) = cli.verb else {
            panic!("{line}")
        };
        assert_eq!(args.command, ["ls", "-l", "-t"], "{line}");
        assert!(args.options.terminal, "{line}");
    }
}

#[test]
fn every_verb_takes_a_remote_before_its_names() {
    for line in [
        "launch image box:c1",
        "list box:",
        "info box:",
        "start box:a box:b",
        "exec box:c1 -- ls",
        "shell box:c1",
        "console box:c1",
        "delete -f box:c1/s0",
        "copy box:a box:b",
        "move box:a box:b",
        "rename box:a b",
        "file push /etc/hosts box:c1/etc/a:b",
        "file pull box:c1/etc/hosts .",
        "file delete box:c1/a box:c1/b",
        "snapshot create box:c1 s0",
        "publish box:c1",
        "config set box: core.https_address=:8443",
        "config set box:c1 limits.cpu=1",
        "config get box:c1 limits.cpu",
        "config show box:",
        "config device add box:c1 data disk source=/a:b",
        "config trust list box:",
        "config trust add box:laptop",
        "profile list box:",
        "profile show box:default",
        "image list box:",
        "image import file box:",
        "image alias list box:",
        "image delete box:mine",
        "network list box:",
        "storage list box:",
        "storage volume list box:default",
        "operation list box:",
        "warning list box:",
        "warning delete --all box:",
        "history box:c1",
        "monitor box:",
        "query box:/1.0",
    ] {
        let words = std::iter::once("rlxc").chain(line.split(' '));
        let mut cli = Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{line}: {error}"));
        let remote = crate::remote::take(cli.verb.names(), "local");
        assert_eq!(remote.unwrap(), "box", "{line}");
    }
}

#[test]
fn options_may_follow_keys_and_values() {
    for line in [
        "config set c1 user.q=1 --project other",
        "config set c1 user.q -1 --project other",
        "config set c1 user.q=-1 user.r=--x --project other",
        "config device set c1 root size=1GiB --project other",
        "profile set default user.q=1 --project other",
        "network set br0 ipv4.nat=true --project other",
        "network forward set br0 10.0.0.1 user.q=1 --project other",
        "storage set default rsync.bwlimit=1 --project other",
        "storage volume set default data size=1GiB --project other",
        "project set p user.q=1 --project other",
    ] {
        let words = std::iter::once("rlxc").chain(line.split(' '));
        let cli = Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!(cli.project.as_deref(), Some("other"), "{line}");
    }
}

#[test]
fn a_value_with_a_dash_follows_two_dashes() {
    for line in [
        "profile set default user.q -- --project",
        "profile set -- default user.q --project",
        "profile set default -- user.q --project",
    ] {
        let words = std::iter::once("rlxc").chain(line.split(' '));
        let cli = Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{line}: {error}"));
        let Verb::Profile(super::ProfileVerb::Set(args)) = cli.verb else {
            panic!("{line}")
        };
        assert_eq!(args.words, ["user.q", "--project"], "{line}");
    }
}

#[test]
fn what_takes_only_a_remote_takes_no_name() {
    for verb in ["top", "monitor", "operation list", "profile list"] {
        let parse = |last: &str| {
            let line = format!("rlxc {verb} {last}");
            Cli::try_parse_from(line.split(' ')).map(|_cli| ())
        };
        assert!(parse("box:").is_ok(), "{verb}");
        let wrong = parse("nosuch").unwrap_err().to_string();
        assert!(wrong.contains("as in `box:`"), "{wrong}");
    }
}
