//! `warning`.

use anyhow::Result;
use rlxc_api::{Warning, WarningPut};

use super::object;
use crate::cli::WarningVerb;
use crate::context::Context;
use crate::render::{self, Table};

pub(crate) async fn run(context: &Context, verb: WarningVerb) -> Result<()> {
    let path = |uuid: &str| object("warnings", uuid);
    match verb {
        WarningVerb::List(args) => {
            let mut warnings: Vec<Warning> =
                context.client.get("/1.0/warnings?recursion=1").await?;
            warnings.retain(|warning| args.all || warning.status == "new");
            context.list(args.format.format, &warnings, || table(&warnings))
        }
        WarningVerb::Show(args) => {
            context.yaml(&context.client.get::<Warning>(&path(&args.name)).await?)
        }
        WarningVerb::Acknowledge(args) => {
            let body = WarningPut {
                status: "acknowledged".to_owned(),
            };
            context.client.put(&path(&args.name), &body, None).await?;
            Ok(())
        }
        WarningVerb::Delete(args) => {
            let uuids = if args.all {
                let all: Vec<Warning> = context.client.get("/1.0/warnings?recursion=1").await?;
                all.into_iter().map(|warning| warning.uuid).collect()
            } else {
                args.uuids
            };
            for uuid in uuids {
                context.client.delete(&path(&uuid)).await?;
            }
            Ok(())
        }
    }
}

fn table(warnings: &[Warning]) -> Table {
    let rows = warnings
        .iter()
        .map(|warning| {
            vec![
                warning.uuid.clone(),
                warning.project.clone(),
                warning.kind.clone(),
                warning.last_message.clone(),
                warning.severity.to_uppercase(),
                warning.status.to_uppercase(),
                warning.count.to_string(),
                render::short_time(&warning.last_seen_at),
            ]
        })
        .collect();
    Table::new(
        &[
            "UUID",
            "PROJECT",
            "TYPE",
            "MESSAGE",
            "SEVERITY",
            "STATUS",
            "COUNT",
            "LAST SEEN",
        ],
        rows,
    )
}
