//! Copies and moves of instances and custom volumes from one server to another.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use rlxc_api::{Operation, Server};
use rlxc_client::{ClientError, Reply};
use serde_json::{Value, json};

use crate::cli::TravelMode;
use crate::context::Context;

/// What goes where: two requests, in which only the connection is missing.
#[derive(Debug)]
pub(crate) struct Journey {
    /// What is said while it lasts.
    pub(crate) label: String,
    /// Path and body of the request to the source; its `target` is added.
    pub(crate) source: (String, Value),
    /// Path and body of the request to the target; more is put into its `source`.
    pub(crate) target: (String, Value),
    /// Who dials.
    pub(crate) mode: Option<TravelMode>,
}

/// Copies from the server of one context to that of another.
pub(crate) async fn copy(from: &Context, to: &Context, order: &Journey) -> Result<()> {
    let (here, there): (Server, Server) =
        tokio::try_join!(from.client.get("/1.0"), to.client.get("/1.0"))?;
    let is_open = |server: &Server| !server.environment.addresses.is_empty();
    let mode = order.mode.unwrap_or_else(|| {
        if is_open(&here) {
            TravelMode::Pull
        } else if is_open(&there) {
            TravelMode::Push
        } else {
            TravelMode::Relay
        }
    });
    match mode {
        TravelMode::Pull if !is_open(&here) => closed(&from.remote),
        TravelMode::Push if !is_open(&there) => closed(&to.remote),
        TravelMode::Pull => pull(from, to, order, &here).await,
        TravelMode::Push => push(from, to, order, &there).await,
        TravelMode::Relay => relay(from, to, order).await,
    }
}

fn closed(remote: &str) -> Result<()> {
    bail!(
        "`{remote}` does not listen on the network: set core.https_address there, or pass `--mode relay`"
    )
}

/// The target dials the source.
async fn pull(from: &Context, to: &Context, order: &Journey, here: &Server) -> Result<()> {
    let source = begin_source(from, order, None).await?;
    let mut failure = None;
    for address in &here.environment.addresses {
        let place = json!({
            "mode": "pull",
            "operation": format!("https://{address}{}", source.url()),
            "certificate": here.environment.certificate,
            "secrets": secrets(&source)?,
        });
        let begun = to.client.post(&order.target.0, &body(order, &place)).await;
        let reply = match begun {
            Ok(reply) => reply,
            Err(refused) => {
                failure = Some(refused.into());
                break;
            }
        };
        let error = match to.finish(reply, &order.label).await {
            Ok(_) => return end(from, source, order).await,
            Err(error) => anyhow::Error::from(error),
        };
        let met = have_met(from, &source, (&error, address)).await;
        failure = Some(error);
        if met {
            break;
        }
    }
    give_up(from, &source).await;
    Err(failure.unwrap_or_else(|| anyhow::anyhow!("the source has no address")))
}

/// The source dials the target.
async fn push(from: &Context, to: &Context, order: &Journey, there: &Server) -> Result<()> {
    let target = begin_target(to, order).await?;
    let mut failure = None;
    for address in &there.environment.addresses {
        let place = json!({
            "operation": format!("https://{address}{}", target.url()),
            "certificate": there.environment.certificate,
            "secrets": secrets(&target)?,
        });
        let source = match begin_source(from, order, Some(place)).await {
            Ok(source) => source,
            Err(refused) => {
                failure = Some(refused);
                break;
            }
        };
        let error = match end(from, source, order).await {
            Ok(()) => return end(to, target, order).await,
            Err(error) => error,
        };
        let met = have_met(to, &target, (&error, address)).await;
        failure = Some(error);
        if met {
            break;
        }
    }
    give_up(to, &target).await;
    Err(failure.unwrap_or_else(|| anyhow::anyhow!("the target has no address")))
}

/// Whether the side that was dialled has heard of the other one, which has failed at `address`: then what failed was no matter
/// of addresses, the secrets are used up, and there is nothing to try again.
async fn have_met(
    dialled: &Context,
    operation: &Operation,
    (error, address): (&anyhow::Error, &str),
) -> bool {
    let mut path = operation.url();
    if !format!("{error:#}").contains(address) {
        // It ends as the other one has, and may be a moment behind.
        path = rlxc_client::url::with_query(&format!("{path}/wait"), "timeout", "1");
    }
    match dialled.client.get::<Operation>(&path).await {
        Ok(state) => state.is_final(),
        Err(error) => error.is_not_found(),
    }
}

/// We dial both, and carry between them.
async fn relay(from: &Context, to: &Context, order: &Journey) -> Result<()> {
    let target = begin_target(to, order).await?;
    let source = match begin_source(from, order, None).await {
        Ok(source) => source,
        Err(error) => {
            give_up(to, &target).await;
            return Err(error);
        }
    };
    let (ours, theirs) = (secrets(&source)?, secrets(&target)?);
    let carried = rlxc_client::relay(
        (&from.client, &source, &ours),
        (&to.client, &target, &theirs),
    );
    let ended = async {
        end(to, target.clone(), order).await?;
        end(from, source.clone(), order).await
    };
    tokio::pin!(carried, ended);
    tokio::select! {
        done = &mut ended => done,
        // When it is over, both say how it went; when it broke, they say so too.
        broken = &mut carried => {
            let done = ended.await;
            done.and(broken.map_err(Into::into))
        }
    }
}

async fn begin_source(
    context: &Context,
    order: &Journey,
    target: Option<Value>,
) -> Result<Operation> {
    let (path, mut body) = order.source.clone();
    body["target"] = target.unwrap_or_default();
    begun(context.client.post(&path, &body).await?)
}

async fn begin_target(context: &Context, order: &Journey) -> Result<Operation> {
    let body = body(order, &json!({"mode": "push"}));
    begun(context.client.post(&order.target.0, &body).await?)
}

fn begun(reply: Reply) -> Result<Operation> {
    match reply {
        Reply::Begun(operation) => Ok(*operation),
        Reply::Done(_) => bail!("the server began nothing"),
    }
}

/// The body of the request to the target, with the connection in its source.
fn body(order: &Journey, place: &Value) -> Value {
    let mut body = order.target.1.clone();
    body["source"]["type"] = "migration".into();
    for (key, value) in place.as_object().into_iter().flatten() {
        body["source"][key] = value.clone();
    }
    body
}

fn secrets(operation: &Operation) -> Result<BTreeMap<String, String>> {
    let metadata = operation.metadata.iter().flatten();
    let secrets: BTreeMap<_, _> = metadata
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .filter(|(key, _)| key == "control" || key == "fs")
        .collect();
    if secrets.len() == 2 {
        return Ok(secrets);
    }
    bail!("the server does not tell the secrets of the migration")
}

async fn end(context: &Context, operation: Operation, order: &Journey) -> Result<()> {
    let reply = Reply::Begun(Box::new(operation));
    context.finish(reply, &order.label).await?;
    Ok(())
}

/// The other side has failed, which is what is told: what is left of this one ends.
async fn give_up(context: &Context, operation: &Operation) {
    let ended: Result<(), ClientError> = context.client.cancel(operation).await;
    drop(ended);
}

/// Removes the source of a move, which is on the other server for good; `stays` is said if it can't be removed.
pub(crate) async fn remove(
    context: &Context,
    (path, name): (&str, &str),
    stays: &'static str,
) -> Result<()> {
    let reply = context.client.delete(path).await.context(stays)?;
    context.finish(reply, &format!("Deleting {name}")).await?;
    Ok(())
}
