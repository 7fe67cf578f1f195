//! `exec`, `shell`, `console`.

use std::io::IsTerminal;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use rlxc_api::{InstanceConsolePost, InstanceExecPost};
use rlxc_client::session::Streams;
use rlxc_client::url;
use tokio::sync::mpsc;

use crate::cli::{ExecArgs, ExecOptions, Mode, ShellArgs};
use crate::context::{Context, is_interactive};
use crate::stdio::{self, DetachKeys, Output};
use crate::terminal::{self, RawMode};

pub(crate) async fn run(context: &Context, args: ExecArgs) -> Result<u8> {
    let mode = match (args.options.terminal, args.options.no_terminal) {
        (true, _) => Mode::Interactive,
        (_, true) => Mode::NonInteractive,
        _ => args.options.mode.unwrap_or_default(),
    };
    let interactive = match mode {
        Mode::Interactive => true,
        Mode::NonInteractive => false,
        Mode::Auto => is_interactive() && !args.options.disable_stdin,
    };
    let request = request(args.command, &args.options, interactive);
    carry(context, &args.name, request, args.options.disable_stdin).await
}

/// A login shell, by `su`, so that it is the one of the user's and knows the user's environment.
pub(crate) async fn shell(context: &Context, args: ShellArgs) -> Result<u8> {
    let command = vec!["su".to_owned(), "-l".to_owned(), args.login];
    let options = ExecOptions {
        environment: args.environment,
        ..ExecOptions::default()
    };
    carry(
        context,
        &args.name,
        request(command, &options, is_interactive()),
        false,
    )
    .await
}

fn request(command: Vec<String>, options: &ExecOptions, interactive: bool) -> InstanceExecPost {
    let mut post = InstanceExecPost {
        command,
        wait_for_websocket: true,
        interactive,
        environment: options
            .environment
            .iter()
            .map(|pair| (pair.key.clone(), pair.value.clone()))
            .collect(),
        user: options.user,
        group: options.group,
        cwd: options.cwd.clone().unwrap_or_default(),
        ..InstanceExecPost::default()
    };
    if interactive {
        (post.width, post.height) = terminal::size();
        if let Ok(term) = std::env::var("TERM")
            && !term.is_empty()
        {
            post.environment.entry("TERM".to_owned()).or_insert(term);
        }
    }
    post
}

async fn carry(
    context: &Context,
    name: &str,
    request: InstanceExecPost,
    no_stdin: bool,
) -> Result<u8> {
    let control = if request.interactive {
        stdio::window_changes()
    } else {
        stdio::forwarded_signals()
    };
    let (output, error) = (Output::to(std::io::stdout()), Output::to(std::io::stderr()));
    let streams = Streams {
        input: if no_stdin {
            stdio::no_stdin()
        } else {
            stdio::read_stdin()
        },
        output: output.sender(),
        error: error.sender(),
        control: control.context("listen for signals")?,
    };
    let raw = if request.interactive && std::io::stdin().is_terminal() {
        Some(RawMode::enter().context("put the terminal into raw mode")?)
    } else {
        None
    };
    let session = Box::pin(context.client.exec(name, &request, streams));
    let ended = if request.interactive {
        tokio::select! {
            ended = session => ended,
            told = stdio::told_to_end() => {
                told.context("listen for signals")?;
                drop(raw);
                bail!("we were told to end: the command in `{name}` was hung up");
            }
        }
    } else {
        session.await
    };
    let written = tokio::try_join!(output.finish(), error.finish());
    drop(raw);
    // Why nothing more can be written says more than that the session has ended for it.
    written.context("write the output")?;
    match ended {
        // As in a shell: what can't be run is the caller's mistake, and has codes of its own.
        Err(rlxc_client::ClientError::Operation { message, .. }) => {
            let code = if message.to_lowercase().contains("not executable") {
                126
            } else {
                127
            };
            let error = anyhow::anyhow!("{message}")
                .context(format!("run `{}` in `{name}`", request.command.join(" ")));
            context.printer.error(&error, &[]);
            Ok(code)
        }
        ended => Ok(u8::try_from(ended? & 0xff).unwrap_or(u8::MAX)),
    }
}

pub(crate) async fn console(
    context: &Context,
    name: &str,
    show_log: bool,
    force: bool,
) -> Result<()> {
    if show_log {
        let log = context
            .client
            .fetch(&format!("{}/console", url::instance(name)))
            .await?;
        return context.printer.bytes(&log);
    }
    let (width, height) = terminal::size();
    let request = InstanceConsolePost {
        width,
        height,
        kind: "console".to_owned(),
        force,
    };
    let raw = if std::io::stdin().is_terminal() {
        context
            .printer
            .note("Attached to the console, Ctrl-a q detaches (Ctrl-a Ctrl-a sends Ctrl-a).\r");
        Some(RawMode::enter().context("put the terminal into raw mode")?)
    } else {
        None
    };
    let output = Output::to(std::io::stdout());
    let streams = Streams {
        input: until_detached(stdio::read_stdin()),
        output: output.sender(),
        error: mpsc::channel(1).0,
        control: stdio::window_changes().context("listen for signals")?,
    };
    let ended = tokio::select! {
        ended = context.client.console(name, &request, streams) => ended,
        // Who reads our output may have stopped: nothing waits for it.
        told = stdio::told_to_end() => return told.context("listen for signals"),
    };
    let written = output.finish().await;
    drop(raw);
    written.context("write the output")?;
    ended?;
    Ok(())
}

/// What is typed, up to Ctrl-a q.
fn until_detached(mut typed: mpsc::Receiver<Bytes>) -> mpsc::Receiver<Bytes> {
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(async move {
        let mut keys = DetachKeys::default();
        while let Some(bytes) = typed.recv().await {
            let (send, detach) = keys.filter(&bytes);
            if (!send.is_empty() && sender.send(send).await.is_err()) || detach {
                return;
            }
        }
    });
    receiver
}
