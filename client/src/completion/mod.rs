//! Completion of what is typed at a shell: verbs and options from the definition of the command line, names and keys from the daemon.
//!
//! The shell's script (see [`script`]) calls `rlxc` with `COMPLETE` set; [`answer`] prints the candidates and is called before anything
//! else. A daemon that can't be reached has no names; nothing is said of it, since the user is in the midst of typing.

mod ask;
mod kind;
mod typed;

use std::ffi::OsStr;

use anyhow::{Context as _, Result};
use clap::{Arg, Command, CommandFactory as _};
use clap_complete::CompletionCandidate;
use clap_complete::engine::ArgValueCompleter;
use clap_complete::env::{CompleteEnv, Shells};

use self::kind::Kind;
use self::typed::Typed;
use crate::cli::Cli;
use crate::remote::{LOCAL, Remotes, split};

/// The variable by which a shell's script asks.
const VARIABLE: &str = "COMPLETE";

/// Prints candidates and ends the program, if a shell asks for them.
pub(crate) fn answer() {
    if std::env::var_os(VARIABLE).is_some() {
        CompleteEnv::with_factory(command).var(VARIABLE).complete();
    }
}

/// The script that makes a shell ask.
pub(crate) fn script(shell: &str) -> Result<Vec<u8>> {
    let shells = Shells::builtins();
    let shell = shells
        .completer(shell)
        .with_context(|| format!("there is no completion for shell `{shell}`"))?;
    let mut text = Vec::new();
    shell.write_registration(VARIABLE, "rlxc", "rlxc", "rlxc", &mut text)?;
    Ok(text)
}

/// The command line, with completers at all arguments that name something.
fn command() -> Command {
    let mut command = Cli::command();
    // Arguments of verbs exist only once they are needed.
    command.build();
    of_verb(command, &[])
}

fn of_verb(command: Command, verbs: &[&str]) -> Command {
    let subs: Vec<String> = command
        .get_subcommands()
        .map(|sub| sub.get_name().to_owned())
        .collect();
    let command = command.mut_args(|arg| complete(arg, verbs));
    subs.iter().fold(command, |command, name| {
        let verbs = [verbs, &[name.as_str()]].concat();
        command.mut_subcommand(name, |sub| of_verb(sub, &verbs))
    })
}

fn complete(arg: Arg, verbs: &[&str]) -> Arg {
    match kind::of(verbs, arg.get_id().as_str(), arg.is_positional()) {
        Some(kind) => arg.add(ArgValueCompleter::new(move |typed: &OsStr| {
            candidates(kind, typed)
        })),
        None => arg,
    }
}

/// What begins as is typed; after `box:` what is on that remote.
fn candidates(kind: Kind, word: &OsStr) -> Vec<CompletionCandidate> {
    let (Some(word), Ok(remotes)) = (word.to_str(), Remotes::load()) else {
        return Vec::new();
    };
    let typed = Typed::before(&Cli::command());
    // A name that begins with a remote is of that; what belongs to a name before is where that is.
    let begins = !kind.is_within(&typed.words);
    let owner = if begins { Some(word) } else { typed.first() };
    let remote = owner.and_then(|name| split(name).0);
    let prefix = remote.filter(|_| begins);
    let prefix = prefix.map_or_else(String::new, |remote| format!("{remote}:"));
    let mut words: Vec<String> = Vec::new();
    if kind != Kind::Remotes {
        let remote = remote.unwrap_or_else(|| remotes.default_name());
        for source in kind.sources(&typed.words) {
            let found = ask::ask(&remotes, remote, typed.project.clone(), &source);
            words.extend(
                found
                    .unwrap_or_default()
                    .iter()
                    .map(|name| format!("{prefix}{name}")),
            );
        }
    }
    if begins && remote.is_none() && !kind.is_keys() {
        let colon = if kind == Kind::Remotes { "" } else { ":" };
        let names = remotes.remotes.keys().map(String::as_str).chain([LOCAL]);
        words.extend(names.map(|name| format!("{name}{colon}")));
    }
    words.retain(|candidate| candidate.starts_with(word));
    words.sort();
    words.dedup();
    words.into_iter().map(CompletionCandidate::new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_arguments_that_name_something_are_completed() {
        let mut command = command();
        command.build();
        command.clone().debug_assert();
        for (path, id) in [
            ("start", "names"),
            ("exec", "name"),
            ("launch", "image"),
            ("launch", "config"),
            ("snapshot create", "instance"),
            ("snapshot restore", "name"),
            ("profile show", "name"),
            ("network delete", "names"),
            ("network get", "key"),
            ("network acl show", "name"),
            ("network forward show", "listen_address"),
            ("network zone record show", "record"),
            ("operation show", "name"),
            ("warning delete", "uuids"),
            ("config get", "words"),
            ("config trust remove", "names"),
            ("config template show", "template"),
            ("config device remove", "devices"),
            ("storage volume show", "volume"),
            ("storage volume snapshot show", "name"),
        ] {
            let found = path.split(' ').fold(&command, |command, name| {
                command.find_subcommand(name).unwrap()
            });
            let arg = found
                .get_arguments()
                .find(|arg| arg.get_id() == id)
                .unwrap();
            assert!(arg.get::<ArgValueCompleter>().is_some(), "{path} {id}");
        }
    }

    #[test]
    fn each_shell_has_a_script() {
        for shell in ["bash", "zsh", "fish"] {
            assert!(
                String::from_utf8(script(shell).unwrap())
                    .unwrap()
                    .contains("COMPLETE"),
                "{shell}"
            );
        }
    }
}
