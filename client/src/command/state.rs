//! `start`, `stop`, `restart`, `pause`, `resume`.

use anyhow::{Result, bail};
use rlxc_api::{Instance, InstanceStatePut, StatusCode};
use rlxc_client::{ClientError, url};

use super::exec;
use crate::cli::StateArgs;
use crate::context::Context;

/// What to do with the state of instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Start,
    Stop,
    Restart,
    Pause,
    Resume,
}

impl Action {
    /// The name on the wire.
    fn wire(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Pause => "freeze",
            Self::Resume => "unfreeze",
        }
    }

    fn doing(self) -> &'static str {
        match self {
            Self::Start => "Starting",
            Self::Stop => "Stopping",
            Self::Restart => "Restarting",
            Self::Pause => "Pausing",
            Self::Resume => "Resuming",
        }
    }

    /// Whether `--all` means an instance in this state.
    fn concerns(self, status: StatusCode) -> bool {
        match self {
            Self::Start => status == StatusCode::Stopped,
            Self::Stop => matches!(status, StatusCode::Running | StatusCode::Frozen),
            Self::Restart | Self::Pause => status == StatusCode::Running,
            Self::Resume => status == StatusCode::Frozen,
        }
    }
}

pub(crate) async fn run(context: &Context, action: Action, args: StateArgs) -> Result<()> {
    let names = if args.all {
        all(context, action).await?
    } else {
        args.names
    };
    let body = InstanceStatePut {
        action: action.wire().to_owned(),
        timeout: args.timeout.unwrap_or(if args.force { 0 } else { -1 }),
        force: args.force,
        stateful: false,
    };
    // All are asked first, so that they go at the same time.
    let mut begun = Vec::new();
    let mut failures = Failures::default();
    for name in &names {
        let path = format!("{}/state", url::instance(name));
        match context.client.put(&path, &body, None).await {
            Ok(reply) => begun.push((name, reply)),
            Err(error) => failures.add(context, name, names.len(), error)?,
        }
    }
    for (name, reply) in begun {
        if let Err(error) = context
            .finish(reply, &format!("{} {name}", action.doing()))
            .await
        {
            failures.add(context, name, names.len(), error)?;
        }
    }
    failures.end(names.len())?;
    if args.console
        && let [name] = names.as_slice()
    {
        exec::console(context, name, false, false).await?;
    }
    Ok(())
}

async fn all(context: &Context, action: Action) -> Result<Vec<String>> {
    let instances: Vec<Instance> = context.client.get("/1.0/instances?recursion=1").await?;
    let concerned = instances
        .into_iter()
        .filter(|instance| action.concerns(instance.status_code));
    Ok(concerned.map(|instance| instance.name).collect())
}

/// Errors of some of many: each is told as it comes, and the command fails at its end.
#[derive(Debug, Default)]
pub(crate) struct Failures(usize);

impl Failures {
    /// Where there is only one thing to do, its error is the command's.
    pub(crate) fn add(
        &mut self,
        context: &Context,
        name: &str,
        of: usize,
        error: impl Into<anyhow::Error>,
    ) -> Result<()> {
        let error = error.into();
        // Nothing else would do any better without the daemon.
        if of == 1 || matches!(error.downcast_ref(), Some(ClientError::Connect { .. })) {
            return Err(error);
        }
        context.printer.error(&error.context(name.to_owned()), &[]);
        self.0 += 1;
        Ok(())
    }

    pub(crate) fn end(self, of: usize) -> Result<()> {
        if self.0 > 0 {
            bail!("{} of {of} did not work", self.0);
        }
        Ok(())
    }
}
