//! `operation`.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};
use nix::unistd::{Uid, User};
use rlxc_api::{Operation, Requestor};
use rlxc_client::{Endpoint, url};

use super::object;
use crate::cli::{HistoryArgs, OperationVerb};
use crate::context::Context;
use crate::render::{self, Table};

pub(crate) async fn run(context: &Context, verb: OperationVerb) -> Result<()> {
    match verb {
        OperationVerb::List(args) => {
            let mut path = "/1.0/operations?recursion=1".to_owned();
            if args.all {
                path = url::with_query(&path, "history", "true");
            }
            if args.all_projects {
                path = url::with_query(&path, "all-projects", "true");
            }
            let operations = load(context, &path).await?;
            context.list(args.format.format, &operations, || table(&operations))
        }
        OperationVerb::Show(args) => context.yaml(
            &context
                .client
                .get::<Operation>(&object("operations", &args.name))
                .await?,
        ),
        OperationVerb::Delete(args) => cancel(context, &args.name).await,
        OperationVerb::Wait(args) => {
            let operation: Operation = context
                .client
                .get(&object("operations", &args.name))
                .await?;
            context.client.wait(&operation).await?;
            Ok(())
        }
    }
}

async fn cancel(context: &Context, name: &str) -> Result<()> {
    let path = object("operations", name);
    match context.client.delete(&path).await {
        Err(error) if error.is_not_found() => {
            // What is over is remembered, and can be shown.
            if let Ok(operation) = context.client.get::<Operation>(&path).await
                && operation.is_final()
            {
                bail!(
                    "operation `{name}` is over ({}): there is nothing to cancel",
                    operation.status.to_lowercase()
                );
            }
            Err(error.into())
        }
        done => Ok(done.map(drop)?),
    }
}

/// All that touched an instance.
pub(crate) async fn history(context: &Context, args: &HistoryArgs) -> Result<()> {
    let path = url::with_query(
        "/1.0/operations?recursion=1",
        "resource",
        &url::instance(&args.name),
    );
    let operations = load(context, &path).await?;
    ensure!(
        !operations.is_empty(),
        "nothing is remembered of an instance `{}`",
        args.name
    );
    let is_here = matches!(context.client.endpoint(), Endpoint::Unix(_));
    context.list(args.format.format, &operations, || {
        history_table(&operations, is_here)
    })
}

async fn load(context: &Context, path: &str) -> Result<Vec<Operation>> {
    let by_status: BTreeMap<String, Vec<Operation>> = context.client.get(path).await?;
    let mut operations: Vec<Operation> = by_status.into_values().flatten().collect();
    operations.sort_by(|a, b| a.created_at.cmp(&b.created_at));
    Ok(operations)
}

fn history_table(operations: &[Operation], is_here: bool) -> Table {
    let rows = operations
        .iter()
        .map(|operation| {
            let who = operation.requestor.as_ref();
            let ended = if operation.err.is_empty() {
                operation.status.clone()
            } else {
                format!("{}: {}", operation.status, operation.err)
            };
            vec![
                render::time_to_the_second(&operation.created_at),
                operation.description.clone(),
                who.map_or_else(|| "rlxcd".to_owned(), |who| name_of(who, is_here)),
                ended,
            ]
        })
        .collect();
    Table::new(&["TIME", "WHAT", "WHO", "RESULT"], rows)
}

/// A user of the host, or the beginning of a certificate's fingerprint and where it came from. The daemon knows users by
/// their uids; which name one has is known to the host itself only.
fn name_of(who: &Requestor, is_here: bool) -> String {
    if who.protocol != "tls" {
        let uid = who.username.parse().ok().filter(|_| is_here);
        let user = uid.and_then(|uid| User::from_uid(Uid::from_raw(uid)).ok().flatten());
        return user.map_or_else(|| who.username.clone(), |user| user.name);
    }
    let short: String = who.username.chars().take(12).collect();
    format!("{short} ({})", who.address)
}

fn table(operations: &[Operation]) -> Table {
    let rows = operations
        .iter()
        .map(|operation| {
            vec![
                operation.id.clone(),
                operation.class.to_uppercase(),
                operation.description.clone(),
                operation.status.to_uppercase(),
                render::yes(operation.may_cancel),
                render::short_time(&operation.created_at),
            ]
        })
        .collect();
    Table::new(
        &[
            "ID",
            "TYPE",
            "DESCRIPTION",
            "STATE",
            "CANCELABLE",
            "CREATED",
        ],
        rows,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_of_this_host_have_names() {
        let who = Requestor {
            username: "1".to_owned(),
            protocol: "unix".to_owned(),
            ..Requestor::default()
        };
        assert_eq!(name_of(&who, true), "daemon");
        assert_eq!(name_of(&who, false), "1");
    }
}
