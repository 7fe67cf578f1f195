//! The use cases: look, pull, push, delete. Content is streamed, a chunk in memory at a time.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _, stream};
use rlxc_api::Requestor;
use tokio::io::AsyncReadExt as _;

use super::CHUNK;
use super::attributes::{Facts, Kind, Push};
use super::root::{self, Root, gone};
use super::tree::Content;
use super::write::within_quota;
use crate::context::{App, blocking, instance_url};
use crate::error::{Error, Result};
use crate::events::Lifecycle;

/// The longest target of a symbolic link, see symlink(2).
const LONGEST_TARGET: usize = 4096;

/// A file of an instance, by path.
#[derive(Debug, Clone)]
pub struct Place {
    /// The instance's project.
    pub project: String,
    /// The instance.
    pub instance: String,
    /// Where the file is; relative is from the root.
    pub path: PathBuf,
}

/// What was pulled.
pub enum Pulled {
    /// The content of a file; its size may be another by the end.
    File(stream::BoxStream<'static, std::io::Result<Bytes>>),
    /// The names in a directory, sorted.
    Directory(Vec<String>),
    /// What a symbolic link points to.
    Symlink(Vec<u8>),
}

impl std::fmt::Debug for Pulled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(_) => f.write_str("File"),
            Self::Directory(names) => f.debug_tuple("Directory").field(names).finish(),
            Self::Symlink(target) => f.debug_tuple("Symlink").field(target).finish(),
        }
    }
}

/// What a file is.
pub async fn look(app: &Arc<App>, place: &Place) -> Result<Facts> {
    let (root, path) = open(app, place).await?;
    blocking(move || Ok(root.tree()?.find(&path)?.facts)).await
}

/// Reads a file, a directory or a symbolic link.
pub async fn pull(app: &Arc<App>, who: &Requestor, place: &Place) -> Result<(Facts, Pulled)> {
    let (root, path) = open(app, place).await?;
    let opened = Arc::clone(&root);
    let (facts, content) = blocking(move || opened.tree()?.read(&path)).await?;
    tell(app, "instance-file-retrieved", who, place);
    let pulled = match content {
        Content::File(file) => Pulled::File(chunks(file, facts.size, root).boxed()),
        Content::Directory(names) => Pulled::Directory(names),
        Content::Symlink(target) => Pulled::Symlink(target),
    };
    Ok((facts, pulled))
}

/// Makes or changes a file, a directory or a symbolic link.
pub async fn push<S>(
    app: &Arc<App>,
    who: &Requestor,
    place: &Place,
    push: Push,
    body: S,
) -> Result<()>
where
    S: Stream<Item = Result<Bytes>> + Send + Unpin,
{
    let (root, path) = open(app, place).await?;
    let opened = Arc::clone(&root);
    match push.kind {
        Kind::File => {
            let (file, is_new) = blocking(move || opened.tree()?.write(&path, &push)).await?;
            let saved = save(file, body, &root, place).await;
            if saved.is_err() && is_new {
                let half = place.path.clone();
                // Why it is only half there is what the caller hears.
                drop(blocking(move || root.tree()?.remove(&half, false)).await);
            }
            saved?;
        }
        Kind::Directory => blocking(move || opened.tree()?.make_dir(&path, &push)).await?,
        Kind::Symlink => {
            let target = collect(body).await?;
            blocking(move || opened.tree()?.make_link(&path, &target, &push)).await?;
        }
    }
    tell(app, "instance-file-pushed", who, place);
    Ok(())
}

/// Removes a file or a directory, with `recursive` all that is in it.
pub async fn delete(app: &Arc<App>, who: &Requestor, place: &Place, recursive: bool) -> Result<()> {
    let (root, path) = open(app, place).await?;
    blocking(move || root.tree()?.remove(&path, recursive)).await?;
    tell(app, "instance-file-deleted", who, place);
    Ok(())
}

async fn open(app: &Arc<App>, place: &Place) -> Result<(Arc<Root>, PathBuf)> {
    let root = root::open(app, &place.project, &place.instance).await?;
    Ok((root, place.path.clone()))
}

/// What is read of a file, up to the size that it had.
fn chunks(
    file: std::fs::File,
    size: u64,
    root: Arc<Root>,
) -> impl Stream<Item = std::io::Result<Bytes>> + Send {
    let file = tokio::fs::File::from_std(file);
    stream::try_unfold((file, size, root), |(mut file, left, root)| async move {
        let wanted = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        if wanted == 0 {
            return Ok(None);
        }
        let mut buffer = BytesMut::with_capacity(wanted);
        let mut reader = (&mut file).take(left);
        let count = tokio::select! {
            biased;
            () = root.ended() => return Err(std::io::Error::other(gone())),
            count = reader.read_buf(&mut buffer) => count?,
        };
        if count == 0 {
            return Err(std::io::Error::other("the file became shorter meanwhile"));
        }
        let left = left.saturating_sub(u64::try_from(count).unwrap_or(left));
        Ok(Some((buffer.freeze(), (file, left, root))))
    })
}

async fn save<S>(file: std::fs::File, mut body: S, root: &Root, place: &Place) -> Result<()>
where
    S: Stream<Item = Result<Bytes>> + Send + Unpin,
{
    let failed = |error| Error::failed(format!("write `{}`", place.path.display()), error);
    let mut file = file;
    let ended = root.ended();
    tokio::pin!(ended);
    loop {
        let chunk = tokio::select! {
            biased;
            () = &mut ended => return Err(gone()),
            chunk = body.next() => chunk,
        };
        let Some(chunk) = chunk.transpose()? else {
            break;
        };
        let write = move || {
            file.write_all(&chunk)?;
            Ok(file)
        };
        file = blocking(|| within_quota(write)).await.map_err(failed)?;
    }
    // Closed before the root is, and not on this thread.
    blocking(move || drop(file)).await;
    Ok(())
}

async fn collect<S>(mut body: S) -> Result<Vec<u8>>
where
    S: Stream<Item = Result<Bytes>> + Send + Unpin,
{
    let mut target = Vec::new();
    while let Some(chunk) = body.next().await {
        target.extend_from_slice(&chunk?);
        if target.len() > LONGEST_TARGET {
            return Err(Error::Invalid(
                "the target of the symbolic link is too long".to_owned(),
            ));
        }
    }
    Ok(target)
}

fn tell(app: &App, action: &str, who: &Requestor, place: &Place) {
    let path = place.path.to_string_lossy().into_owned();
    app.events.lifecycle(Lifecycle {
        action,
        source: instance_url(&place.project, &place.instance),
        project: &place.project,
        name: &place.instance,
        requestor: Some(who.clone()),
        context: BTreeMap::from([("path".to_owned(), path.into())]),
    });
}
