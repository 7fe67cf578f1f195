//! `rlxc`, the command line.
#![forbid(unsafe_code)]

mod alias;
mod cli;
mod command;
mod completion;
mod context;
mod document;
mod editor;
mod hint;
mod printer;
mod progress;
mod release;
mod remote;
mod render;
mod stdio;
mod terminal;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use rlxc_client::Endpoint;

use crate::context::Context;
use crate::printer::Printer;
use crate::remote::Remotes;

fn main() -> ExitCode {
    completion::answer();
    let understood = Remotes::load().and_then(|remotes| {
        let arguments = cli::Cli::parse_from(line(&remotes)?);
        Ok((remotes, arguments))
    });
    let (remotes, arguments) = match understood {
        Ok(understood) => understood,
        Err(error) => {
            Printer::new(false).error(&error, &[]);
            return ExitCode::FAILURE;
        }
    };
    let printer = Printer::new(arguments.quiet);
    // One thread: a command waits for the daemon most of its time, and starting more would cost more than it.
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            printer.error(&anyhow::Error::new(error).context("start the runtime"), &[]);
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(run(&remotes, arguments, printer));
    // A thread may be waiting for stdin; nothing waits for it.
    runtime.shutdown_background();
    code
}

/// What was typed, with an alias in place of what it stands for.
fn line(remotes: &Remotes) -> anyhow::Result<Vec<OsString>> {
    let typed: Vec<OsString> = std::env::args_os().collect();
    // A word that is no text is no alias either, and may be a path.
    let texts: Option<Vec<String>> = typed
        .iter()
        .map(|word| word.to_str().map(str::to_owned))
        .collect();
    match texts {
        Some(texts) if !remotes.aliases.is_empty() => {
            let expanded = alias::expand(&remotes.aliases, texts)?;
            Ok(expanded.into_iter().map(OsString::from).collect())
        }
        _ => Ok(typed),
    }
}

async fn run(remotes: &Remotes, mut arguments: cli::Cli, printer: Printer) -> ExitCode {
    let asked = arguments
        .project
        .or_else(|| std::env::var("RLXC_PROJECT").ok())
        .filter(|project| !project.is_empty());
    let Chosen {
        remote,
        endpoint,
        project,
    } = match choose(remotes, &mut arguments.verb, asked.as_deref()) {
        Ok(chosen) => chosen,
        Err(error) => {
            printer.error(&error, &[]);
            return ExitCode::FAILURE;
        }
    };
    let context = Context::new(remote, endpoint, asked.or(project), printer);
    match Box::pin(command::run(&context, arguments.verb)).await {
        Ok(code) => ExitCode::from(code),
        Err(error) if printer::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let hints = hint::find(&context, &error).await;
            context.printer.error(&error, &hints);
            ExitCode::FAILURE
        }
    }
}

/// Where a command goes.
struct Chosen {
    remote: String,
    endpoint: Endpoint,
    /// What is worked in there unless the command line says otherwise.
    project: Option<String>,
}

/// The remote that a command is about; its name is taken off the words of the command.
fn choose(remotes: &Remotes, verb: &mut cli::Verb, asked: Option<&str>) -> anyhow::Result<Chosen> {
    let chosen = std::env::var("RLXC_REMOTE")
        .ok()
        .filter(|name| !name.is_empty());
    let default = chosen.as_deref().unwrap_or_else(|| remotes.default_name());
    verb.part_ways(default, asked);
    let remote = remote::take(verb.names(), default)?;
    // These are about the file itself, or about nothing: they work whatever the file says.
    let endpoint = match verb {
        cli::Verb::Remote(_)
        | cli::Verb::Alias(_)
        | cli::Verb::Completion(_)
        | cli::Verb::Manpage(_) => Endpoint::local(),
        // The command asks such a server itself.
        cli::Verb::Image(_) if remotes.is_image_server(&remote) => Endpoint::local(),
        _ => remotes.endpoint(&remote)?,
    };
    let kept = remotes.project(&remote).map(str::to_owned);
    let project = kept.or_else(|| endpoint.own_project());
    Ok(Chosen {
        remote,
        endpoint,
        project,
    })
}
