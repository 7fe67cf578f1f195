//! `version`.

use anyhow::Result;
use rlxc_api::Server;

use crate::context::Context;

pub(crate) async fn run(context: &Context) -> Result<()> {
    let server = match context.client.get::<Server>("/1.0").await {
        Ok(server) => server.environment.server_version,
        // The client's version is known all the same.
        Err(_) => "not reachable".to_owned(),
    };
    context.printer.print(&format!(
        "Client version: {}\nServer version: {server}\n",
        env!("CARGO_PKG_VERSION")
    ))
}
