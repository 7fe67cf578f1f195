//! `query`.

use std::io::Read;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use hyper::Method;
use rlxc_api::{Operation, Response, ResponseType};
use serde_json::Value;

use crate::cli::QueryArgs;
use crate::context::Context;
use crate::render;

pub(crate) async fn run(context: &Context, args: QueryArgs) -> Result<()> {
    let method = Method::from_bytes(args.method.to_uppercase().as_bytes())
        .with_context(|| format!("`{}` is no method", args.method))?;
    if !args.path.starts_with('/') {
        bail!(
            "`{}` is no path: it begins with `/`, as in `/1.0`",
            args.path
        );
    }
    let body = match args.data.as_deref() {
        Some("-") => {
            let mut text = Vec::new();
            std::io::stdin()
                .read_to_end(&mut text)
                .context("read stdin")?;
            Some(Bytes::from(text))
        }
        Some(text) => Some(Bytes::from(text.to_owned())),
        None => None,
    };
    let (status, bytes) = context.client.raw(method, &args.path, body).await?;
    if args.raw {
        return context.printer.bytes(&bytes);
    }
    let Ok(reply) = serde_json::from_slice::<Response<Value>>(&bytes) else {
        if status >= 400 {
            bail!("HTTP {status}");
        }
        return context.printer.bytes(&bytes);
    };
    if reply.kind == ResponseType::Error {
        bail!("{} (HTTP {})", reply.error, reply.error_code);
    }
    let mut metadata = reply.metadata.unwrap_or_default();
    if args.wait && reply.kind == ResponseType::Async {
        let operation: Operation = serde_json::from_value(metadata)?;
        metadata = serde_json::to_value(context.client.wait(&operation).await?)?;
    }
    match metadata {
        Value::String(text) => context.printer.line(&text),
        metadata => context.printer.print(&render::json(&metadata)?),
    }
}
