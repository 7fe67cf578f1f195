//! `admin`.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rlxc_api::{ServerCertificate, ServerCertificatePut};
use rlxc_client::{ClientError, Reply};
use serde_json::{Value, json};

use super::{doctor, init, recover, sql};
use crate::cli::{AdminVerb, CertificateRenewArgs, CertificateVerb, ShutdownArgs};
use crate::context::Context;

/// How often we look whether the daemon is there, or gone.
const POLL: Duration = Duration::from_millis(50);

pub(crate) async fn run(context: &Context, verb: AdminVerb) -> Result<u8> {
    match verb {
        AdminVerb::Init(args) => init::run(context, args).await?,
        AdminVerb::Doctor(args) => return doctor::run(context, &args).await,
        AdminVerb::Waitready(args) => wait_ready(context, args.timeout).await?,
        AdminVerb::Shutdown(args) => shutdown(context, &args).await?,
        AdminVerb::Recover(args) => recover::run(context, args).await?,
        AdminVerb::Sql(args) => sql::run(context, args).await?,
        AdminVerb::Certificate(verb) => certificate(context, verb).await?,
    }
    Ok(0)
}

fn deadline(seconds: u64) -> Option<Instant> {
    (seconds > 0).then(|| Instant::now() + Duration::from_secs(seconds))
}

fn is_over(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| Instant::now() >= deadline)
}

async fn wait_ready(context: &Context, seconds: u64) -> Result<()> {
    let deadline = deadline(seconds);
    loop {
        let Err(error) = context.client.get::<Value>("/internal/ready").await else {
            return Ok(());
        };
        // Waiting does not change who we are.
        if let ClientError::Connect { source, .. } = &error
            && source.kind() == std::io::ErrorKind::PermissionDenied
        {
            return Err(error.into());
        }
        if is_over(deadline) {
            return Err(anyhow::Error::new(error)
                .context(format!("the daemon was not ready after {seconds} s")));
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn shutdown(context: &Context, args: &ShutdownArgs) -> Result<()> {
    let path = if args.force {
        "/internal/shutdown?force=true"
    } else {
        "/internal/shutdown"
    };
    match context.client.put(path, &json!({}), None).await {
        // It may be gone before it has answered.
        Ok(_) | Err(ClientError::Http { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let deadline = deadline(args.timeout);
    while !matches!(
        context.client.get::<Value>("/internal/ready").await,
        Err(ClientError::Connect { .. })
    ) {
        if is_over(deadline) {
            bail!("the daemon was not gone after {} s", args.timeout);
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

const CERTIFICATE: &str = "/internal/certificate";

async fn certificate(context: &Context, verb: CertificateVerb) -> Result<()> {
    match verb {
        CertificateVerb::Show => {
            context.yaml(&context.client.get::<ServerCertificate>(CERTIFICATE).await?)
        }
        CertificateVerb::Renew(args) => renew(context, &args).await,
    }
}

async fn renew(context: &Context, args: &CertificateRenewArgs) -> Result<()> {
    let read = |path: &Option<std::path::PathBuf>| match path {
        Some(path) => {
            std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
        }
        None => Ok(String::new()),
    };
    let put = ServerCertificatePut {
        certificate: read(&args.certificate)?,
        key: read(&args.key)?,
    };
    let Reply::Done(value) = context.client.put(CERTIFICATE, &put, None).await? else {
        bail!("the daemon's answer holds no certificate");
    };
    let new: ServerCertificate = serde_json::from_value(value)?;
    context
        .printer
        .note("Other hosts refuse the daemon until they have accepted this fingerprint by `rlxc remote add`:");
    context.printer.line(&new.fingerprint)
}
