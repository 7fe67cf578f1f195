//! `/1.0/instances/{name}/console`: attaching, and its log.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::ws::Message;
use rlxc_api::{InstanceConsolePost, Operation, Requestor};
use tokio::sync::watch;

use super::sockets::{Control, Expected, Secrets, next_control};
use super::terminal;
use crate::app::instance;
use crate::context::{App, blocking, instance_url};
use crate::error::{Error, Result};
use crate::operation::{Class, Noted, OperationSpec};
use crate::runtime::{Running, TerminalSize};

/// Begins to attach a client to an instance's console.
pub async fn attach(
    app: &Arc<App>,
    who: &Requestor,
    project: &str,
    name: &str,
    post: InstanceConsolePost,
) -> Result<Operation> {
    if !post.kind.is_empty() && post.kind != "console" {
        return Err(Error::Invalid(format!(
            "console type `{}` is for virtual machines: containers have `console`",
            post.kind
        )));
    }
    let running = running(app, project, name).await?;
    let attached = running.console_attached().await;
    if !post.force && attached.map_err(|error| Error::failed("look at the console", error))? {
        return Err(Error::Conflict(format!(
            "the console of `{name}` is in use: take it over by `--force`"
        )));
    }
    let secrets = Secrets::new(&["0", "control"], app.clock.as_ref());
    let spec = OperationSpec {
        class: Class::Websocket,
        noted: Noted::Later,
        metadata: BTreeMap::from([("fds".to_owned(), secrets.to_json())]),
        ..OperationSpec::task(
            "Showing console",
            project,
            "instances",
            &instance_url(project, name),
        )
    };
    app.instance_event("instance-console", project, name, Some(who.clone()));
    Ok(app
        .operations
        .spawn(spec.requested_by(who), move |operation| {
            let expected = secrets.expect(&operation);
            async move {
                carry(running, expected, post).await?;
                Ok(BTreeMap::new())
            }
        }))
}

async fn carry(
    running: Arc<dyn Running>,
    mut expected: Expected,
    post: InstanceConsolePost,
) -> Result<()> {
    let (mut socket, mut control) = (expected.take("0").await?, expected.take("control").await?);
    let failed = |error| Error::failed("attach to the console", error);
    // What was on the screen, as far as it is remembered, then what comes.
    let before = running.console_log(false).await.map_err(failed)?;
    let stream = running.console().await.map_err(failed)?;
    if !before.is_empty() && socket.send(Message::Binary(before.into())).await.is_err() {
        return Ok(());
    }
    if post.width > 0 && post.height > 0 {
        running
            .console_resize(TerminalSize {
                width: post.width,
                height: post.height,
            })
            .await
            .map_err(failed)?;
    }
    let (end, ended) = watch::channel(false);
    let resizing = async {
        while let Some(request) = next_control(&mut control).await {
            if let Control::Resize { width, height } = request {
                // A console that is gone has no size.
                drop(running.console_resize(TerminalSize { width, height }).await);
            }
        }
    };
    let exited = async {
        running.exited().await;
        end.send_replace(true);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        result = terminal::pump(socket, stream, ended) => result.map(drop).map_err(|error| Error::failed("read the console", error)),
        () = resizing => Ok(()),
        () = exited => Ok(()),
    }
}

/// What the console was written: from the monitor while it runs, else from the log.
pub async fn log(app: &App, project: &str, name: &str) -> Result<Vec<u8>> {
    let row = instance::find(app, project, name).await?;
    if let Some(running) = app.instances.status(row.id).running {
        return running
            .console_log(false)
            .await
            .map_err(|error| Error::failed("read the console's log", error));
    }
    let path = app.places.instance_logs(row.id).join("console.log");
    blocking(move || match std::fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other.map_err(|error| Error::failed(format!("read {}", path.display()), error)),
    })
    .await
}

/// Forgets what the console was written.
pub async fn clear_log(app: &App, project: &str, name: &str) -> Result<()> {
    let running = running(app, project, name).await?;
    running
        .console_log(true)
        .await
        .map(drop)
        .map_err(|error| Error::failed("clear the console's log", error))
}

async fn running(app: &App, project: &str, name: &str) -> Result<Arc<dyn Running>> {
    let row = instance::find(app, project, name).await?;
    let status = app.instances.status(row.id);
    status
        .running
        .ok_or_else(|| Error::Invalid(format!("instance `{name}` is not running: start it first")))
}
