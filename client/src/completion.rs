//! Completion of what is typed at a shell: verbs and options from the definition of the command line, names from the daemon.
//!
//! The shell's script (see [`script`]) calls `rlxc` with `COMPLETE` set; [`answer`] prints the candidates and is called before anything
//! else. A daemon that can't be reached has no names; nothing is said of it, since the user is in the midst of typing.

use std::ffi::OsStr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Arg, Command, CommandFactory as _};
use clap_complete::CompletionCandidate;
use clap_complete::engine::ArgValueCompleter;
use clap_complete::env::{CompleteEnv, Shells};
use rlxc_client::{Connection, url};
use serde_json::Value;

use crate::cli::Cli;
use crate::remote::{LOCAL, Remotes, split};

/// The variable by which a shell's script asks.
const VARIABLE: &str = "COMPLETE";
/// Whoever types does not wait longer.
const PATIENCE: Duration = Duration::from_millis(800);

/// What an argument names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Images,
    Instances,
    Keys,
    Networks,
    Pools,
    Profiles,
    Projects,
    Remotes,
}

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
    let verbs: Vec<String> = command
        .get_subcommands()
        .map(|verb| verb.get_name().to_owned())
        .collect();
    let command = command.mut_args(|arg| complete(arg, None));
    verbs.iter().fold(command, |command, verb| {
        command.mut_subcommand(verb, |sub| of_verb(sub, subject(verb)))
    })
}

/// What a verb is about, where its arguments don't say.
fn subject(verb: &str) -> Option<Kind> {
    Some(match verb {
        "launch" | "create" | "image" => Kind::Images,
        "profile" => Kind::Profiles,
        "network" => Kind::Networks,
        "storage" => Kind::Pools,
        "project" => Kind::Projects,
        "remote" => Kind::Remotes,
        "alias" | "query" | "manpage" | "completion" | "admin" | "operation" | "warning"
        | "import" => {
            return None;
        }
        _ => Kind::Instances,
    })
}

fn of_verb(command: Command, subject: Option<Kind>) -> Command {
    let subs: Vec<String> = command
        .get_subcommands()
        .map(|sub| sub.get_name().to_owned())
        .collect();
    let command = command.mut_args(|arg| complete(arg, subject));
    subs.iter().fold(command, |command, name| {
        let subject = if name == "trust" { None } else { subject };
        command.mut_subcommand(name, |sub| of_verb(sub, subject))
    })
}

fn complete(arg: Arg, subject: Option<Kind>) -> Arg {
    match kind(&arg, subject) {
        Some(kind) => arg.add(ArgValueCompleter::new(move |typed: &OsStr| {
            candidates(kind, typed)
        })),
        None => arg,
    }
}

fn kind(arg: &Arg, subject: Option<Kind>) -> Option<Kind> {
    match (arg.get_id().as_str(), arg.is_positional()) {
        ("profiles" | "profile", _) => Some(Kind::Profiles),
        ("network", _) => Some(Kind::Networks),
        ("storage" | "pool", _) => Some(Kind::Pools),
        ("project" | "target_project", _) => Some(Kind::Projects),
        ("image", true) => Some(Kind::Images),
        ("remote", true) => Some(Kind::Remotes),
        ("instance" | "instances", true) => Some(Kind::Instances),
        ("key", true) => Some(Kind::Keys),
        ("name" | "names" | "source" | "owner" | "words" | "filters" | "paths" | "path", true) => {
            subject
        }
        _ => None,
    }
}

/// What begins as is typed; after `box:` what is on that remote.
fn candidates(kind: Kind, typed: &OsStr) -> Vec<CompletionCandidate> {
    let Some(typed) = typed.to_str() else {
        return Vec::new();
    };
    let Ok(remotes) = Remotes::load() else {
        return Vec::new();
    };
    let (remote, _) = split(typed);
    let prefix = remote.map_or_else(String::new, |name| format!("{name}:"));
    let mut found = Vec::new();
    if kind != Kind::Remotes {
        let remote = remote.unwrap_or_else(|| remotes.default_name()).to_owned();
        found.extend(ask(&remotes, &remote, kind).unwrap_or_default());
    }
    let mut words: Vec<String> = found.iter().map(|name| format!("{prefix}{name}")).collect();
    if remote.is_none() && kind != Kind::Keys {
        let colon = if kind == Kind::Remotes { "" } else { ":" };
        let names = remotes.remotes.keys().map(String::as_str).chain([LOCAL]);
        words.extend(names.map(|name| format!("{name}{colon}")));
    }
    words.retain(|word| word.starts_with(typed));
    words.sort();
    words.into_iter().map(CompletionCandidate::new).collect()
}

fn ask(remotes: &Remotes, remote: &str, kind: Kind) -> Result<Vec<String>> {
    let path = match kind {
        Kind::Images => "/1.0/images/aliases",
        Kind::Instances => "/1.0/instances",
        Kind::Keys => "/1.0/metadata/configuration",
        Kind::Networks => "/1.0/networks",
        Kind::Pools => "/1.0/storage-pools",
        Kind::Profiles => "/1.0/profiles",
        Kind::Projects => "/1.0/projects",
        Kind::Remotes => return Ok(Vec::new()),
    };
    let endpoint = remotes.endpoint(remote)?;
    let project = std::env::var("RLXC_PROJECT")
        .ok()
        .filter(|project| !project.is_empty())
        .or_else(|| remotes.project(remote).map(str::to_owned))
        .or_else(|| endpoint.own_project());
    let client = Connection::new(endpoint, project);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let answer: Value = runtime
        .block_on(async { tokio::time::timeout(PATIENCE, client.get(path)).await })
        .context("the daemon takes too long")??;
    runtime.shutdown_background();
    Ok(if kind == Kind::Keys {
        keys(&answer)
    } else {
        let urls = answer.as_array().into_iter().flatten();
        urls.filter_map(Value::as_str).map(url::last).collect()
    })
}

/// The names of all keys of instances, which stand in groups.
fn keys(answer: &Value) -> Vec<String> {
    let groups = answer["configs"]["instance"]
        .as_object()
        .into_iter()
        .flatten();
    let keys = groups.flat_map(|(_, group)| group["keys"].as_array().into_iter().flatten());
    keys.filter_map(Value::as_object)
        .flat_map(|key| key.keys().cloned())
        .collect()
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
            (&["start"][..], "names"),
            (&["exec"], "name"),
            (&["launch"], "image"),
            (&["snapshot", "create"], "instance"),
            (&["profile", "show"], "name"),
            (&["network", "delete"], "names"),
        ] {
            let found = path.iter().fold(&command, |command, name| {
                command.find_subcommand(name).unwrap()
            });
            let arg = found
                .get_arguments()
                .find(|arg| arg.get_id() == id)
                .unwrap();
            assert!(arg.get::<ArgValueCompleter>().is_some(), "{path:?} {id}");
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
