//! `file push`.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use rlxc_client::transfer::{FileInfo, Source};

use super::split;
use crate::cli::FilePushArgs;
use crate::context::Context;

/// Instead of a file's name: what comes on stdin.
const STDIN: &str = "-";

pub(super) async fn push(context: &Context, args: FilePushArgs) -> Result<()> {
    let Some((target, sources)) = args.paths.split_last() else {
        bail!("nothing to push")
    };
    let (instance, target) = split(target)?;
    // A directory that is pushed goes into the target, with its name.
    let inside = target.ends_with('/') || sources.len() > 1 || args.recursive;
    if args.create_dirs {
        let directory = if inside {
            target.as_str()
        } else {
            parent(&target)
        };
        let owner = (args.uid.unwrap_or(0), args.gid.unwrap_or(0));
        make_directories(context, &instance, directory, owner).await?;
    }
    for source in sources {
        if source == STDIN {
            if inside {
                bail!("what comes on stdin has no name: end INSTANCE/PATH with one");
            }
            let info = info("file", &args, None);
            let client = &context.client;
            client
                .push_file(&instance, &target, &info, Source::Stdin)
                .await?;
            continue;
        }
        let source = Path::new(source);
        let path = if inside {
            format!("{}/{}", target.trim_end_matches('/'), name(source)?)
        } else {
            target.clone()
        };
        push_tree(context, &instance, (source.to_owned(), path), &args).await?;
    }
    Ok(())
}

/// The last name of a path, of `.` and the like too.
fn name(source: &Path) -> Result<String> {
    let read = || format!("read {}", source.display());
    let full = match source.file_name() {
        Some(_) => source.to_owned(),
        None => source.canonicalize().with_context(read)?,
    };
    let name = full.file_name().with_context(read)?;
    Ok(name.to_string_lossy().into_owned())
}

/// What a file should be; `local` is the file here that it comes from.
fn info(kind: &str, args: &FilePushArgs, local: Option<&Metadata>) -> FileInfo {
    let owned = local.filter(|_| args.recursive);
    let uid = args.uid.or(owned.map(Metadata::uid)).unwrap_or(0);
    let gid = args.gid.or(owned.map(Metadata::gid)).unwrap_or(0);
    let mode = local.map_or(0o644, Metadata::mode) & 0o7777;
    FileInfo {
        kind: kind.to_owned(),
        uid: uid.to_string(),
        gid: gid.to_string(),
        mode: args.mode.clone().unwrap_or_else(|| format!("{mode:04o}")),
    }
}

/// One file, or with `--recursive` a directory and all that is in it.
async fn push_tree(
    context: &Context,
    instance: &str,
    first: (PathBuf, String),
    args: &FilePushArgs,
) -> Result<()> {
    let client = &context.client;
    let mut left = vec![first];
    while let Some((source, path)) = left.pop() {
        let read = || format!("read {}", source.display());
        let metadata = if args.recursive {
            std::fs::symlink_metadata(&source)
        } else {
            std::fs::metadata(&source)
        }
        .with_context(read)?;
        let info = |kind| info(kind, args, Some(&metadata));
        if metadata.is_dir() {
            if !args.recursive {
                bail!("{} is a directory: add --recursive", source.display());
            }
            // The mode of a file says nothing good for a directory.
            let mut info = info("directory");
            info.mode = format!("{:04o}", metadata.mode() & 0o7777);
            client
                .push_file(instance, &path, &info, Source::Empty)
                .await?;
            for entry in std::fs::read_dir(&source).with_context(read)? {
                let name = entry.with_context(read)?.file_name();
                let path = format!("{path}/{}", name.to_string_lossy());
                left.push((source.join(name), path));
            }
        } else if metadata.is_symlink() {
            let target = std::fs::read_link(&source).with_context(read)?;
            let target = Source::Target(target.as_os_str());
            client
                .push_file(instance, &path, &info("symlink"), target)
                .await?;
        } else if metadata.is_file() || !args.recursive {
            client
                .push_file(instance, &path, &info("file"), Source::File(&source))
                .await?;
        } else {
            let skipped = format!(
                "{} is neither file nor directory: left out",
                source.display()
            );
            context.printer.note(&skipped);
        }
    }
    Ok(())
}

/// The directory that a file of an instance is in.
pub(super) fn parent(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.rsplit_once('/').map_or("/", |(parent, _)| parent)
}

/// Makes a directory and those above it that are not there yet.
pub(super) async fn make_directories(
    context: &Context,
    instance: &str,
    directory: &str,
    (uid, gid): (u32, u32),
) -> Result<()> {
    let info = FileInfo {
        kind: "directory".to_owned(),
        uid: uid.to_string(),
        gid: gid.to_string(),
        mode: "0755".to_owned(),
    };
    let mut path = String::new();
    for part in directory.split('/').filter(|part| !part.is_empty()) {
        path = format!("{path}/{part}");
        context
            .client
            .push_file(instance, &path, &info, Source::Empty)
            .await?;
    }
    Ok(())
}
