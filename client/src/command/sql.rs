//! `admin sql`.

use anyhow::{Context as _, Result, bail};
use rlxc_api::{SqlBatch, SqlDump, SqlQuery, SqlResult};
use rlxc_client::Reply;
use serde_json::Value;

use crate::cli::SqlArgs;
use crate::context::Context;
use crate::render::Table;

pub(crate) async fn run(context: &Context, args: SqlArgs) -> Result<()> {
    let schema = match args.query.as_str() {
        ".dump" => 0,
        ".schema" => 1,
        _ => return statements(context, args).await,
    };
    let url = format!("/internal/sql?database={}&schema={schema}", args.database);
    let dump: SqlDump = context.client.get(&url).await?;
    context.printer.print(&dump.text)
}

async fn statements(context: &Context, args: SqlArgs) -> Result<()> {
    let query = match args.query.as_str() {
        "-" => std::io::read_to_string(std::io::stdin()).context("read stdin")?,
        _ => args.query,
    };
    let post = SqlQuery {
        database: args.database,
        query,
    };
    let Reply::Done(value) = context.client.post("/internal/sql", &post).await? else {
        bail!("the daemon's answer does not say what was found");
    };
    let batch: SqlBatch = serde_json::from_value(value)?;
    for result in &batch.results {
        if result.kind == "select" {
            context.list(args.format, &result.rows, || table(result))?;
        } else {
            context
                .printer
                .line(&format!("Rows affected: {}", result.rows_affected))?;
        }
    }
    Ok(())
}

fn table(result: &SqlResult) -> Table {
    let cell = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let rows = result.rows.iter();
    let rows = rows.map(|row| row.iter().map(cell).collect());
    Table::new(&result.columns, rows.collect())
}
