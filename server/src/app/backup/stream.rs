//! The bytes of a backup on their way, in either direction: never all in memory, never twice on disk.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use rlxc_api::{Operation, Requestor};
use rlxc_storage::backup::write;
use tokio::sync::mpsc;

use super::{Content, Owner};
use crate::context::App;
use crate::error::{Cause, Result};
use crate::model::BackupOwner;
use crate::operation::Handle;
use crate::saga::Saga;

/// Between two messages about the progress.
const PROGRESS_STEP: u64 = 8 << 20;
/// Bytes of a chunk that is sent, and how many chunks may wait for the network.
const CHUNK: usize = 256 << 10;
const CHUNKS_AHEAD: usize = 8;
/// Chunks of an upload that may wait for the disk.
const UPLOADED_AHEAD: usize = 16;

/// Packs `content` into `out`.
pub(super) async fn pack<W>(
    app: &App,
    saga: &mut Saga<'_>,
    (owner, content): (&Owner, &impl Content),
    operation: &Handle,
    out: W,
) -> Result<W>
where
    W: Write + Send + 'static,
{
    let order = content.order(app, saga).await?;
    let told_to = operation.clone();
    let what = format!("export {}", owner.called());
    let pack = move || {
        let told = Cell::new(0);
        let progress = |bytes: u64| {
            if bytes >= told.get() + PROGRESS_STEP {
                told.set(bytes);
                told_to.set("create_backup_progress", format!("{} MiB", bytes >> 20));
            }
        };
        let mut out = write(&order, out, &progress)?;
        out.flush()?;
        Ok::<_, Cause>(out)
    };
    operation.blocking(what, pack).await
}

/// Begins to export straight to who asked; the chunks of the file as they are made.
pub fn stream(
    app: &Arc<App>,
    who: &Requestor,
    owner: Owner,
    operation: String,
    content: impl Content,
) -> (Operation, mpsc::Receiver<io::Result<Bytes>>) {
    let what = match owner.id {
        BackupOwner::Instance(_) => "Exporting instance",
        BackupOwner::Volume(_) => "Exporting storage volume",
    };
    let spec = owner.spec(what).requested_by(who).cancellable();
    let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
    let app2 = Arc::clone(app);
    let begun = app
        .operations
        .spawn_as(operation, spec, move |operation| async move {
            let mut saga = Saga::new(&app2, operation.id());
            let out = Chunks::new(sender.clone());
            let packed = pack(&app2, &mut saga, (&owner, &content), &operation, out).await;
            let finished = packed.map(drop);
            if let Err(error) = &finished {
                // The reply has begun: all that is left is to break it off.
                let text = rlxc_sys::chain::chain(error).to_string();
                drop(sender.send(Err(io::Error::other(text))).await);
            }
            saga.settle(finished).await?;
            Ok(BTreeMap::new())
        });
    (begun, receiver)
}

/// Sends what is written in chunks; waits for the network.
#[derive(Debug)]
struct Chunks {
    sender: mpsc::Sender<io::Result<Bytes>>,
    buffer: Vec<u8>,
}

impl Chunks {
    fn new(sender: mpsc::Sender<io::Result<Bytes>>) -> Self {
        Self {
            sender,
            buffer: Vec::with_capacity(CHUNK),
        }
    }

    fn send(&mut self) -> io::Result<()> {
        let full = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK));
        let gone = |_closed| io::Error::from(io::ErrorKind::BrokenPipe);
        self.sender.blocking_send(Ok(full.into())).map_err(gone)
    }
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(CHUNK - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..count]);
        if self.buffer.len() == CHUNK {
            self.send()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.send()
    }
}

/// The body of a request on its way to who reads it.
#[derive(Debug)]
pub struct Upload {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    current: Bytes,
}

impl Upload {
    /// Chunks go into the sender; one that is dropped ends the upload.
    pub fn channel() -> (mpsc::Sender<io::Result<Bytes>>, Self) {
        let (sender, chunks) = mpsc::channel(UPLOADED_AHEAD);
        let current = Bytes::new();
        (sender, Self { chunks, current })
    }
}

impl Read for Upload {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.chunks.blocking_recv() {
                Some(chunk) => self.current = chunk?,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}
