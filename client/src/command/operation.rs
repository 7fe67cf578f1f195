//! `operation`.

use std::collections::BTreeMap;

use anyhow::Result;
use rlxc_api::Operation;

use super::object;
use crate::cli::OperationVerb;
use crate::context::Context;
use crate::render::{self, Table};

pub(crate) async fn run(context: &Context, verb: OperationVerb) -> Result<()> {
    match verb {
        OperationVerb::List(format) => {
            let by_status: BTreeMap<String, Vec<Operation>> =
                context.client.get("/1.0/operations?recursion=1").await?;
            let mut operations: Vec<Operation> = by_status.into_values().flatten().collect();
            operations.sort_by(|a, b| a.created_at.cmp(&b.created_at));
            context.list(format.format, &operations, || table(&operations))
        }
        OperationVerb::Show(args) => context.yaml(
            &context
                .client
                .get::<Operation>(&object("operations", &args.name))
                .await?,
        ),
        OperationVerb::Delete(args) => {
            context
                .client
                .delete(&object("operations", &args.name))
                .await?;
            Ok(())
        }
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
