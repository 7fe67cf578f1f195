//! Figures for monitoring: `/1.0/metrics` in the text form of OpenMetrics, families named as LXD names them. Instances cost
//! a few files of their control groups and a netlink dump each, no process.

mod families;
mod instances;
mod text;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::context::{App, blocking};
use crate::db::{instances as rows, warnings};
use crate::error::{Error, Result};
use crate::operation::Wanted;

use text::Text;

/// The content type of OpenMetrics.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Figures of all that runs; with `projects`, of what belongs to them and of nothing else.
pub async fn collect(app: &Arc<App>, projects: Option<BTreeSet<String>>) -> Result<String> {
    let (mut all, warnings) = app
        .db
        .read(|tx| Ok::<_, Error>((rows::list(tx, None)?, warnings::list(tx, None)?.len())))
        .await?;
    let operations = app.operations.list(Wanted::default()).await?.len();
    if let Some(projects) = &projects {
        all.retain(|instance| projects.contains(&instance.project));
    }
    let app = Arc::clone(app);
    Ok(blocking(move || {
        let mut text = Text::default();
        instances::add(&app, &all, &mut text);
        // What is the server's own belongs to no project.
        if projects.is_none() {
            text.add(&families::OPERATIONS, &[], operations);
            text.add(&families::WARNINGS, &[], warnings);
        }
        text.finish()
    })
    .await)
}
