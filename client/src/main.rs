//! `rlxc`, the command line.
#![forbid(unsafe_code)]

mod cli;
mod command;
mod context;
mod editor;
mod hint;
mod printer;
mod progress;
mod release;
mod remote;
mod render;
mod stdio;
mod terminal;

use std::process::ExitCode;

use clap::Parser;
use rlxc_client::Endpoint;

use crate::context::Context;
use crate::printer::Printer;
use crate::remote::Remotes;

fn main() -> ExitCode {
    let arguments = cli::Cli::parse();
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
    let code = runtime.block_on(run(arguments, printer));
    // A thread may be waiting for stdin; nothing waits for it.
    runtime.shutdown_background();
    code
}

async fn run(mut arguments: cli::Cli, printer: Printer) -> ExitCode {
    let project = arguments
        .project
        .or_else(|| std::env::var("RLXC_PROJECT").ok())
        .filter(|project| !project.is_empty());
    let (remote, endpoint) = match choose(&mut arguments.verb) {
        Ok(chosen) => chosen,
        Err(error) => {
            printer.error(&error, &[]);
            return ExitCode::FAILURE;
        }
    };
    let context = Context::new(remote, endpoint, project, printer);
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

/// The remote that a command is about; its name is taken off the words of the command.
fn choose(verb: &mut cli::Verb) -> anyhow::Result<(String, Endpoint)> {
    let remotes = Remotes::load()?;
    let chosen = std::env::var("RLXC_REMOTE")
        .ok()
        .filter(|name| !name.is_empty());
    let default = chosen.as_deref().unwrap_or_else(|| remotes.default_name());
    let remote = remote::take(verb.names(), default)?;
    // These are about the file itself, or about nothing: they work whatever the file says.
    let endpoint = match verb {
        cli::Verb::Remote(_) | cli::Verb::Completion(_) => Endpoint::local(),
        _ => remotes.endpoint(&remote)?,
    };
    Ok((remote, endpoint))
}
