//! `file`.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use rlxc_api::Response;
use rlxc_client::transfer::FileInfo;
use rlxc_client::url;

use crate::cli::{FileCreateArgs, FileKind, FilePullArgs, FilePushArgs, FileVerb};
use crate::context::Context;
use crate::editor;

pub(crate) async fn run(context: &Context, verb: FileVerb) -> Result<()> {
    match verb {
        FileVerb::Push(args) => push(context, args).await,
        FileVerb::Pull(args) => pull(context, &args).await,
        FileVerb::Edit(args) => edit(context, &args.path).await,
        FileVerb::Delete(args) => {
            for path in &args.paths {
                let (instance, file) = split(path)?;
                let path = url::with_query(
                    &format!("{}/files", url::instance(&instance)),
                    "path",
                    &file,
                );
                context.client.delete(&path).await?;
            }
            Ok(())
        }
        FileVerb::Create(args) => create(context, args).await,
    }
}

/// Reads INSTANCE/PATH.
fn split(text: &str) -> Result<(String, String)> {
    let text = text.strip_prefix("local:").unwrap_or(text);
    match text.split_once('/') {
        Some((instance, path)) if !instance.is_empty() => {
            Ok((instance.to_owned(), format!("/{path}")))
        }
        _ => bail!("`{text}` is not INSTANCE/PATH"),
    }
}

fn info(kind: &str, args: &FilePushArgs, mode: u32) -> FileInfo {
    let number = |id: Option<u32>| id.unwrap_or(0).to_string();
    FileInfo {
        kind: kind.to_owned(),
        uid: number(args.uid),
        gid: number(args.gid),
        mode: args
            .mode
            .clone()
            .unwrap_or_else(|| format!("{:04o}", mode & 0o7777)),
    }
}

async fn push(context: &Context, args: FilePushArgs) -> Result<()> {
    let Some((target, sources)) = args.paths.split_last() else {
        bail!("nothing to push")
    };
    let (instance, target) = split(target)?;
    let into = target.ends_with('/') || sources.len() > 1;
    if args.create_dirs {
        let directory = if into {
            target.as_str()
        } else {
            parent(&target)
        };
        make_directories(context, &instance, directory, &args).await?;
    }
    for source in sources {
        let source = Path::new(source);
        let name = source
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let path = if into {
            format!("{}/{name}", target.trim_end_matches('/'))
        } else {
            target.clone()
        };
        push_tree(context, &instance, source, path, &args).await?;
    }
    Ok(())
}

/// One file, or with `--recursive` a directory and all that is in it.
async fn push_tree(
    context: &Context,
    instance: &str,
    source: &Path,
    path: String,
    args: &FilePushArgs,
) -> Result<()> {
    let mut left = vec![(source.to_owned(), path)];
    while let Some((source, path)) = left.pop() {
        let read = || format!("read {}", source.display());
        let metadata = std::fs::symlink_metadata(&source).with_context(read)?;
        let followed = if metadata.is_symlink() && !args.recursive {
            std::fs::metadata(&source).with_context(read)?
        } else {
            metadata
        };
        let mode = followed.permissions().mode();
        if followed.is_dir() {
            if !args.recursive {
                bail!("{} is a directory: add --recursive", source.display());
            }
            context
                .client
                .push_file(instance, &path, &info("directory", args, mode), None)
                .await?;
            for entry in std::fs::read_dir(&source).with_context(read)? {
                let entry = entry.with_context(read)?;
                left.push((
                    entry.path(),
                    format!("{path}/{}", entry.file_name().to_string_lossy()),
                ));
            }
        } else if followed.is_symlink() {
            context
                .client
                .push_file(
                    instance,
                    &path,
                    &info("symlink", args, 0o777),
                    Some(&source),
                )
                .await?;
        } else {
            context
                .client
                .push_file(instance, &path, &info("file", args, mode), Some(&source))
                .await?;
        }
    }
    Ok(())
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("/", |(parent, _)| parent)
}

async fn make_directories(
    context: &Context,
    instance: &str,
    directory: &str,
    args: &FilePushArgs,
) -> Result<()> {
    let mut path = String::new();
    for part in directory.split('/').filter(|part| !part.is_empty()) {
        path = format!("{path}/{part}");
        let mut info = info("directory", args, 0o755);
        "0755".clone_into(&mut info.mode);
        context
            .client
            .push_file(instance, &path, &info, None)
            .await?;
    }
    Ok(())
}

async fn pull(context: &Context, args: &FilePullArgs) -> Result<()> {
    let (instance, file) = split(&args.source)?;
    let name = file
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or("")
        .to_owned();
    let mut first = args.target.clone();
    if first.is_dir() {
        first.push(name);
    }
    let mut left: Vec<(String, PathBuf)> = vec![(file, first)];
    while let Some((file, target)) = left.pop() {
        let (info, data) = context.client.pull_file(&instance, &file).await?;
        let write = || format!("write {}", target.display());
        match info.kind.as_str() {
            "directory" if !args.recursive => bail!("{file} is a directory: add --recursive"),
            "directory" => {
                std::fs::create_dir_all(&target).with_context(write)?;
                let list: Response<Vec<String>> =
                    serde_json::from_slice(&data).context("understand the list")?;
                for name in list.metadata.unwrap_or_default() {
                    // A guest names its files; none of them may lead out of the target.
                    if name.contains('/') || name == ".." || name == "." {
                        bail!("the instance names a file `{name}`");
                    }
                    left.push((
                        format!("{}/{name}", file.trim_end_matches('/')),
                        target.join(name),
                    ));
                }
            }
            "symlink" => {
                let link = String::from_utf8_lossy(&data).trim_end().to_owned();
                std::os::unix::fs::symlink(link, &target).with_context(write)?;
            }
            _ if args.target == Path::new("-") => std::io::stdout().lock().write_all(&data)?,
            _ => {
                std::fs::write(&target, &data).with_context(write)?;
                let mode = u32::from_str_radix(&info.mode, 8).unwrap_or(0o644) & 0o777;
                std::fs::set_permissions(&target, PermissionsExt::from_mode(mode))
                    .with_context(write)?;
            }
        }
    }
    Ok(())
}

async fn edit(context: &Context, path: &str) -> Result<()> {
    let (instance, file) = split(path)?;
    let (info, data) = context.client.pull_file(&instance, &file).await?;
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
        .push_file(&instance, &file, &info, Some(local.path()))
        .await?;
    Ok(())
}

async fn create(context: &Context, args: FileCreateArgs) -> Result<()> {
    let (instance, file) = split(&args.path)?;
    let (kind, mode) = match args.kind {
        FileKind::File => ("file", "0644"),
        FileKind::Directory => ("directory", "0755"),
        FileKind::Symlink => ("symlink", ""),
    };
    let info = FileInfo {
        kind: kind.to_owned(),
        mode: args.mode.unwrap_or_else(|| mode.to_owned()),
        ..FileInfo::default()
    };
    let link = tempfile::tempdir().context("create a directory")?;
    let data = match &args.target {
        Some(target) => {
            let path = link.path().join("link");
            std::os::unix::fs::symlink(target, &path).context("create a symlink")?;
            Some(path)
        }
        None => None,
    };
    context
        .client
        .push_file(&instance, &file, &info, data.as_deref())
        .await?;
    Ok(())
}
