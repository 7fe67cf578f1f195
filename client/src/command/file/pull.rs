//! `file pull`. The guest names its files and may change them meanwhile: nothing is written through a link that came
//! from there, nor anywhere but below the target.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use rlxc_api::Response;
use rlxc_client::transfer::{FileInfo, PulledFile};

use super::split;
use crate::cli::FilePullArgs;
use crate::context::Context;

/// How many links lead to a file at most, as path_resolution(7) has it.
const LINKS: usize = 40;

pub(super) async fn pull(context: &Context, args: &FilePullArgs) -> Result<()> {
    let (instance, file) = split(&args.source)?;
    if args.recursive {
        return pull_tree(context, &instance, file, &args.target).await;
    }
    let (info, pulled) = open(context, &instance, file.clone()).await?;
    if info.kind == "directory" {
        bail!("{file} is a directory: add --recursive");
    }
    if args.target == Path::new("-") {
        return Ok(pulled.write_to(tokio::io::stdout(), "stdout").await?);
    }
    let mut target = args.target.clone();
    if target.is_dir() {
        target.push(last(&file));
    }
    let write = || format!("write {}", target.display());
    let open = File::create(&target).with_context(write)?;
    save(&info, pulled, open, &target).await
}

/// Opens a file, or what the links there lead to. It is the daemon that looks for it, in the guest.
pub(super) async fn open(
    context: &Context,
    instance: &str,
    file: String,
) -> Result<(FileInfo, PulledFile)> {
    let mut path = file.clone();
    for _ in 0..LINKS {
        let (info, pulled) = context.client.pull_file(instance, &path).await?;
        if info.kind != "symlink" {
            return Ok((info, pulled));
        }
        let target = pulled.bytes().await?;
        let target = String::from_utf8_lossy(&target).trim_end().to_owned();
        path = if target.starts_with('/') {
            target
        } else {
            let above = path.trim_end_matches('/').rsplit_once('/');
            format!("{}/{target}", above.map_or("", |(above, _)| above))
        };
    }
    bail!("{file} is a link to a link, and so on")
}

/// What is written once all below a directory is there.
struct Finish {
    directory: PathBuf,
    info: FileInfo,
}

async fn pull_tree(
    context: &Context,
    instance: &str,
    file: String,
    directory: &Path,
) -> Result<()> {
    std::fs::create_dir_all(directory).with_context(|| format!("write {}", directory.display()))?;
    let first = directory.join(last(&file));
    let mut left = vec![(file, first)];
    let mut directories = Vec::new();
    while let Some((file, target)) = left.pop() {
        let write = || format!("write {}", target.display());
        let (info, pulled) = context.client.pull_file(instance, &file).await?;
        match info.kind.as_str() {
            "directory" => {
                make_directory(&target).with_context(write)?;
                let list: Response<Vec<String>> = serde_json::from_slice(&pulled.bytes().await?)
                    .context("understand the list")?;
                for name in list.metadata.unwrap_or_default() {
                    if name.contains('/') || name == ".." || name == "." || name.is_empty() {
                        bail!("the instance names a file `{name}`");
                    }
                    let path = format!("{}/{name}", file.trim_end_matches('/'));
                    left.push((path, target.join(name)));
                }
                directories.push(Finish {
                    directory: target,
                    info,
                });
            }
            "symlink" => {
                let link = pulled.bytes().await?;
                let link = String::from_utf8_lossy(&link).trim_end().to_owned();
                if std::fs::read_link(&target).is_ok_and(|there| there == Path::new(&link)) {
                    continue;
                }
                symlink(link, &target).with_context(write)?;
                own(&info, &target)?;
            }
            _ => {
                let open = OpenOptions::new()
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .mode(0o600)
                    .custom_flags(nofollow())
                    .open(&target)
                    .with_context(write)?;
                save(&info, pulled, open, &target).await?;
                own(&info, &target)?;
            }
        }
    }
    // The innermost first: a directory may be closed to us by its mode.
    for Finish { directory, info } in directories.iter().rev() {
        own(info, directory)?;
        std::fs::set_permissions(directory, mode(info, 0o755))
            .with_context(|| format!("write {}", directory.display()))?;
    }
    Ok(())
}

/// A directory that is there already will do, a link to one will not.
fn make_directory(target: &Path) -> std::io::Result<()> {
    match DirBuilder::new().mode(0o700).create(target) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            if std::fs::symlink_metadata(target)?.is_dir() {
                Ok(())
            } else {
                Err(error)
            }
        }
        other => other,
    }
}

fn nofollow() -> i32 {
    i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0)
}

async fn save(info: &FileInfo, pulled: PulledFile, open: File, target: &Path) -> Result<()> {
    let file = open.try_clone().context("write a file")?;
    let name = target.display().to_string();
    pulled
        .write_to(tokio::fs::File::from_std(file), &name)
        .await?;
    // A device that was named here keeps its mode.
    if open.metadata().is_ok_and(|facts| facts.is_file()) {
        open.set_permissions(mode(info, 0o644))
            .with_context(|| format!("write {name}"))?;
    }
    Ok(())
}

fn mode(info: &FileInfo, usual: u32) -> Permissions {
    // Set-id bits are the guest's, and nothing to have here.
    Permissions::from_mode(u32::from_str_radix(&info.mode, 8).unwrap_or(usual) & 0o1777)
}

/// Gives a file the owner that it has in the instance, if we may.
fn own(info: &FileInfo, target: &Path) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    lchown(target, info.uid.parse().ok(), info.gid.parse().ok())
        .with_context(|| format!("write {}", target.display()))
}

/// The last name of a path in the instance; of the root, nothing.
fn last(file: &str) -> &str {
    match file.trim_end_matches('/').rsplit('/').next() {
        None | Some("." | "..") => "",
        Some(name) => name,
    }
}
