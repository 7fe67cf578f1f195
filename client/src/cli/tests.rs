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
    let mut text = String::new();
    let mut command = Cli::command();
    command.build();
    collect(&mut command, "rlxc", &mut text);
    insta::assert_snapshot!(text);
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
fn only_local_instances_are_known() {
    let error = Cli::try_parse_from(["rlxc", "start", "far:c1"]).unwrap_err();
    assert!(
        error.to_string().contains("there is no daemon `far`"),
        "{error}"
    );
    assert_eq!(error.exit_code(), 2);
}
