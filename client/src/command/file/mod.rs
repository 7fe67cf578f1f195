//! `file`.

mod mount;
mod mounted;
mod pull;
mod push;

use std::ffi::OsStr;

use anyhow::{Context as _, Result, bail};
use rlxc_client::transfer::{FileInfo, Source};

use crate::cli::{FileCreateArgs, FileKind, FileVerb};
use crate::context::Context;
use crate::editor;

pub(crate) async fn run(context: &Context, verb: FileVerb) -> Result<()> {
    match verb {
        FileVerb::Push(args) => push::push(context, args).await,
        FileVerb::Pull(args) => pull::pull(context, &args).await,
        FileVerb::Edit(args) => edit(context, &args.path).await,
        FileVerb::Delete(args) => {
            for path in &args.paths {
                let (instance, file) = split(path)?;
                let client = &context.client;
                client.delete_file(&instance, &file, args.recursive).await?;
            }
            Ok(())
        }
        FileVerb::Create(args) => create(context, args).await,
        FileVerb::Mount(args) => mount::mount(context, &args).await,
        FileVerb::Sftp(args) => mount::sftp(context, &args).await,
    }
}

/// Reads INSTANCE/PATH.
fn split(text: &str) -> Result<(String, String)> {
    match text.split_once('/') {
        Some((instance, path)) if !instance.is_empty() => {
            Ok((instance.to_owned(), format!("/{path}")))
        }
        _ => bail!("`{text}` is not INSTANCE/PATH"),
    }
}

async fn edit(context: &Context, path: &str) -> Result<()> {
    let (instance, file) = split(path)?;
    let (info, pulled) = pull::open(context, &instance, file.clone()).await?;
    let data = pulled.bytes().await?;
    let before = String::from_utf8(data.to_vec()).with_context(|| format!("{file} is no text"))?;
    let after = editor::text_in_editor(&before, "txt")?;
    if after == before {
        context.printer.note("Nothing was changed.");
        return Ok(());
    }
    let local = tempfile::NamedTempFile::new().context("create a file")?;
    std::fs::write(local.path(), after).context("write a file")?;
    context
        .client
        .push_file(&instance, &file, &info, Source::File(local.path()))
        .await?;
    Ok(())
}

async fn create(context: &Context, args: FileCreateArgs) -> Result<()> {
    let (instance, file) = split(&args.path)?;
    let owner = (args.uid, args.gid);
    if args.create_dirs {
        push::make_directories(context, &instance, push::parent(&file), owner).await?;
    }
    let (kind, mode) = match args.kind {
        FileKind::File => ("file", "0644"),
        FileKind::Directory => ("directory", "0755"),
        FileKind::Symlink => ("symlink", ""),
    };
    let info = FileInfo {
        kind: kind.to_owned(),
        uid: args.uid.to_string(),
        gid: args.gid.to_string(),
        mode: args.mode.unwrap_or_else(|| mode.to_owned()),
    };
    let source = args
        .target
        .as_ref()
        .map_or(Source::Empty, |target| Source::Target(OsStr::new(target)));
    context
        .client
        .push_file(&instance, &file, &info, source)
        .await?;
    Ok(())
}
