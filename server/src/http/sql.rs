//! `/internal/sql`: the inventory itself, for the local administrator.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::routing::get;
use rlxc_api::{SqlBatch, SqlDump, SqlQuery};
use serde::Deserialize;

use super::extract::Body;
use super::render::{Reply, sync};
use crate::context::App;
use crate::db;
use crate::error::{Error, Result};

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/internal/sql", get(dump).post(run))
}

/// What is to be dumped.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct Wanted {
    database: String,
    schema: String,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            database: "global".to_owned(),
            schema: String::new(),
        }
    }
}

async fn dump(State(app): State<Arc<App>>, Query(wanted): Query<Wanted>) -> Reply {
    check(&wanted.database)?;
    let only_schema = matches!(wanted.schema.as_str(), "1" | "true");
    let text = app
        .db
        .read(move |tx| Ok::<_, Error>(db::sql::dump(tx, only_schema)?))
        .await?;
    sync(SqlDump { text })
}

async fn run(State(app): State<Arc<App>>, Body(post): Body<SqlQuery>) -> Reply {
    check(&post.database)?;
    if post.query.trim().is_empty() {
        return Err(Error::Invalid("the query is empty".to_owned()).into());
    }
    let results = app
        .db
        .write(move |tx| {
            let results = db::sql::run(tx, &post.query);
            results.map_err(|error| Error::Invalid(rlxc_sys::chain::chain(&error).to_string()))
        })
        .await?;
    sync(SqlBatch { results })
}

/// One server has one database; the clients know two names.
fn check(database: &str) -> Result<()> {
    if matches!(database, "global" | "local") {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "database `{database}` is not known: there are global and local, which are one here"
    )))
}
