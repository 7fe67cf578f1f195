//! `monitor`.

use anyhow::Result;

use crate::cli::{Format, MonitorArgs};
use crate::context::Context;
use crate::render;

pub(crate) async fn run(context: &Context, args: MonitorArgs) -> Result<()> {
    let kinds: Vec<&str> = args.kinds.iter().map(String::as_str).collect();
    let mut events = context.client.events(&kinds, args.all_projects).await?;
    while let Some(event) = events.next().await? {
        let text = match args.format {
            Format::Json => serde_json::to_string(&event)? + "\n",
            _ => render::yaml(&event)? + "\n",
        };
        context.printer.print(&text)?;
    }
    Ok(())
}
