//! `POST /1.0/instances/{name}/exec`.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rlxc_api::{InstanceExecPost, Operation, Requestor};
use rlxc_sys::path::Resolve;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::pipes::{Pipe, drain, feed};
use super::record::Recording;
use super::sockets::{Control, Expected, Secrets, next_control};
use super::{environment, terminal};
use crate::app::instance;
use crate::context::{App, instance_url};
use crate::db::profiles;
use crate::error::{Error, Result};
use crate::instance::state::State;
use crate::operation::{Class, Handle, Noted, OperationSpec};
use crate::plan::expand::expand;
use crate::runtime::{ExecRequest, ExecSession, Running, RuntimeError, TerminalSize};

const SIGKILL: i32 = 9;
const DEFAULT_SIZE: TerminalSize = TerminalSize {
    width: 80,
    height: 25,
};

/// A command about to be run.
pub(super) struct Session {
    pub(super) running: Arc<dyn Running>,
    pub(super) request: ExecRequest,
    streams: bool,
    record: Option<Recording>,
}

/// Begins to run a command.
pub async fn exec(
    app: &Arc<App>,
    who: &Requestor,
    project: &str,
    name: &str,
    post: InstanceExecPost,
) -> Result<Operation> {
    check(&post)?;
    let row = instance::find(app, project, name).await?;
    let status = app.instances.status(row.id);
    if status.state == State::Frozen {
        return Err(Error::Invalid(format!(
            "instance `{name}` is frozen: resume it first"
        )));
    }
    let running = status.running.ok_or_else(|| {
        Error::Invalid(format!("instance `{name}` is not running: start it first"))
    })?;
    let id = app.project(project).await?;
    let known = app.db.read(move |tx| profiles::list(tx, id)).await?;
    let environment = environment::build(
        post.user,
        has_snaps(running.as_ref()),
        &expand(&row, &known).config,
        &post.environment,
    );
    let names: &[&str] = match (post.wait_for_websocket, post.interactive) {
        (false, _) => &[],
        (true, true) => &["0", "control"],
        (true, false) => &["0", "1", "2", "control"],
    };
    let secrets = Secrets::new(names, app.clock.as_ref());
    let spec = OperationSpec {
        class: if post.wait_for_websocket {
            Class::Websocket
        } else {
            Class::Task
        },
        noted: Noted::Later,
        metadata: metadata(&secrets, &post, &environment),
        ..OperationSpec::task(
            "Executing command",
            project,
            "instances",
            &instance_url(project, name),
        )
    };
    let session = Session {
        running,
        request: request(&post, environment),
        streams: post.wait_for_websocket,
        record: post.record_output.then(|| Recording {
            app: Arc::clone(app),
            instance: row.id,
            name: row.name.clone(),
        }),
    };
    app.instance_event("instance-exec", project, name, Some(who.clone()));
    Ok(app
        .operations
        .spawn(spec.requested_by(who), move |operation| {
            let expected = secrets.expect(&operation);
            async move { run(session, expected, &operation).await }
        }))
}

/// Whether the instance has snaps, whose commands are in a directory of their own.
fn has_snaps(running: &dyn Running) -> bool {
    let root = format!("/proc/{}/root", running.init_pid());
    let open = || {
        let root = rlxc_sys::path::open_dir(root.as_ref()).ok()?;
        rlxc_sys::path::stat(&root, "snap/bin".as_ref(), Resolve::InRoot).ok()?
    };
    open().is_some()
}

fn check(post: &InstanceExecPost) -> Result<()> {
    if post.command.is_empty() {
        return Err(Error::Invalid("the command is empty".to_owned()));
    }
    if post.record_output && (post.wait_for_websocket || post.interactive) {
        return Err(Error::Invalid(
            "record-output goes without websockets and without a terminal".to_owned(),
        ));
    }
    Ok(())
}

fn metadata(
    secrets: &Secrets,
    post: &InstanceExecPost,
    environment: &BTreeMap<String, String>,
) -> BTreeMap<String, Value> {
    let mut metadata = BTreeMap::from([
        ("command".to_owned(), json!(post.command)),
        ("environment".to_owned(), json!(environment)),
        ("interactive".to_owned(), json!(post.interactive)),
    ]);
    if post.wait_for_websocket {
        metadata.insert("fds".to_owned(), secrets.to_json());
    }
    metadata
}

fn request(post: &InstanceExecPost, environment: BTreeMap<String, String>) -> ExecRequest {
    let size = if post.width == 0 || post.height == 0 {
        DEFAULT_SIZE
    } else {
        TerminalSize {
            width: post.width,
            height: post.height,
        }
    };
    let home = environment
        .get("HOME")
        .cloned()
        .unwrap_or_else(|| "/".to_owned());
    ExecRequest {
        argv: post.command.clone(),
        env: environment.into_iter().collect(),
        user: post.user,
        group: post.group,
        cwd: if post.cwd.is_empty() {
            home
        } else {
            post.cwd.clone()
        },
        terminal: post.interactive.then_some(size),
    }
}

async fn run(
    mut session: Session,
    expected: Expected,
    operation: &Handle,
) -> Result<BTreeMap<String, Value>> {
    let result = match (session.streams, session.request.terminal.is_some()) {
        (true, true) => run_with_terminal(session, expected).await,
        (true, false) => run_with_pipes(session, expected).await,
        (false, _) => match session.record.take() {
            Some(recording) => recording.run(session, operation).await,
            None => run_without_streams(session).await,
        },
    };
    match result {
        Ok(status) => Ok(BTreeMap::from([("return".to_owned(), json!(status))])),
        Err(error) => {
            if let Some(status) = status_of(&error) {
                operation.set("return", status);
            }
            Err(error)
        }
    }
}

/// Shells' exit codes for commands that can't be run; the words are those of LXD's clients.
pub(super) fn started(
    result: Result<Box<dyn ExecSession>, RuntimeError>,
) -> Result<Box<dyn ExecSession>> {
    result.map_err(|error| match error {
        RuntimeError::CommandNotFound { .. } => Error::failed(NOT_FOUND, error),
        RuntimeError::CommandNotExecutable { .. } => Error::failed(NOT_EXECUTABLE, error),
        other => Error::failed("run the command", other),
    })
}

const NOT_FOUND: &str = "Command not found";
const NOT_EXECUTABLE: &str = "Command not executable";

fn status_of(error: &Error) -> Option<i32> {
    match error {
        Error::Failed { what, .. } if what == NOT_FOUND => Some(127),
        Error::Failed { what, .. } if what == NOT_EXECUTABLE => Some(126),
        _ => None,
    }
}

async fn run_without_streams(session: Session) -> Result<i32> {
    let failed = |error| Error::failed("open /dev/null", error);
    let null = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map_err(failed)?;
    let copies = [
        null.try_clone().map_err(failed)?,
        null.try_clone().map_err(failed)?,
        null,
    ];
    let mut request = session.request;
    request.terminal = None;
    let command = started(
        session
            .running
            .exec(request, copies.into_iter().map(OwnedFd::from).collect())
            .await,
    )?;
    wait(command.as_ref()).await
}

async fn run_with_pipes(session: Session, mut expected: Expected) -> Result<i32> {
    let (input, output, errors) = (
        expected.take("0").await?,
        expected.take("1").await?,
        expected.take("2").await?,
    );
    let failed = |error| Error::failed("make a pipe", error);
    let (stdin, stdout, stderr) = (
        Pipe::new().map_err(failed)?,
        Pipe::new().map_err(failed)?,
        Pipe::new().map_err(failed)?,
    );
    let ends = vec![stdin.reader, stdout.writer, stderr.writer];
    let command = started(session.running.exec(session.request, ends).await)?;
    let (end, ended) = watch::channel(false);
    // Input ends with the client or with the command, whichever is first; nobody waits for it.
    tokio::spawn(feed(input, stdin.writer, ended.clone()));
    let draining = [
        tokio::spawn(drain(output, stdout.reader, ended.clone())),
        tokio::spawn(drain(errors, stderr.reader, ended)),
    ];
    let control = expected.later("control");
    let controlling = async {
        match control {
            Some(place) => match place.await {
                Ok(mut socket) => obey(&mut socket, command.as_ref()).await,
                Err(_never_came) => std::future::pending().await,
            },
            None => std::future::pending().await,
        }
    };
    let status = tokio::select! {
        status = wait(command.as_ref()) => status,
        // Who steered it is gone, and nobody is left to end it.
        () = controlling => kill(command.as_ref()).await,
    };
    end.send_replace(true);
    for pump in draining {
        // What the client did not take is not the command's fault.
        drop(pump.await);
    }
    status
}

async fn run_with_terminal(session: Session, mut expected: Expected) -> Result<i32> {
    let (socket, mut control) = (expected.take("0").await?, expected.take("control").await?);
    let mut command = started(session.running.exec(session.request, Vec::new()).await)?;
    let master = command
        .take_terminal()
        .ok_or_else(|| Error::Invalid("the monitor gave no terminal".to_owned()))?;
    let (end, ended) = watch::channel(false);
    let pump = tokio::spawn(terminal::pump(socket, master, ended));
    let command = Arc::<dyn ExecSession>::from(command);
    let watched = Arc::clone(&command);
    let mut pump = pump;
    let status = tokio::select! {
        status = wait(command.as_ref()) => status,
        // The client is gone: so is the terminal, and with it the command.
        _ = &mut pump => kill(watched.as_ref()).await,
        () = obey(&mut control, command.as_ref()) => kill(watched.as_ref()).await,
    };
    end.send_replace(true);
    if !pump.is_finished() {
        drop(pump.await);
    }
    status
}

/// Carries out what the client asks for until it closes the connection.
async fn obey(socket: &mut axum::extract::ws::WebSocket, command: &dyn ExecSession) {
    while let Some(control) = next_control(socket).await {
        let result = match control {
            Control::Resize { width, height } => {
                command.resize(TerminalSize { width, height }).await
            }
            Control::Signal(signal) => command.signal(signal).await,
        };
        if let Err(error) = result {
            tracing::debug!(error = %rlxc_sys::chain::chain(&error), "a control message had no effect");
        }
    }
}

async fn kill(command: &dyn ExecSession) -> Result<i32> {
    command
        .signal(SIGKILL)
        .await
        .map_err(|error| Error::failed("end the command", error))?;
    wait(command).await
}

pub(super) async fn wait(command: &dyn ExecSession) -> Result<i32> {
    command
        .wait()
        .await
        .map_err(|error| Error::failed("wait for the command", error))
}
