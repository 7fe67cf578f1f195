//! SFTP version 3 on the files of an instance, running or stopped; see draft-ietf-secsh-filexfer-02.
//!
//! A session outlives starts and stops of its instance. It holds the root only while it is asked something or a file is
//! open: an idle mount keeps no stopped instance from starting.

mod attributes;
mod extended;
mod open;
mod requests;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use russh_sftp::protocol::{Packet, StatusCode};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::io::{AsyncWriteExt as _, BufReader, BufWriter};

use super::root::Root;
use crate::app::instance;
use crate::context::{App, blocking};
use crate::error::Result;
use requests::{Session, refused};

/// The longest packet, as OpenSSH's.
const LONGEST: u32 = 256 << 10;
/// Bytes that are read or written by one request: they fit into a packet.
const CHUNK: u32 = LONGEST - 1024;
/// How long the root stays open without a request.
const IDLE: Duration = Duration::from_millis(500);

/// Answers requests until the client closes the stream or the daemon ends.
pub async fn serve<S>(app: Arc<App>, id: i64, stream: S) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let (reader, writer) = tokio::io::split(stream);
    let mut reader = BufReader::with_capacity(LONGEST as usize, reader);
    let mut writer = BufWriter::with_capacity(LONGEST as usize, writer);
    let mut session = Session::default();
    let mut root: Option<Arc<Root>> = None;
    loop {
        let wait = tokio::select! {
            () = app.shutdown.cancelled() => return Ok(()),
            () = ended(root.as_ref()) => Wait::Ended,
            () = tokio::time::sleep(IDLE), if root.is_some() && session.is_idle() => Wait::Idle,
            more = reader.fill_buf() => if more?.is_empty() { return Ok(()) } else { Wait::Request },
        };
        match wait {
            Wait::Ended => {
                session = Session::default();
                root = None;
                continue;
            }
            Wait::Idle => {
                root = None;
                continue;
            }
            Wait::Request => {}
        }
        let request = receive(&mut reader).await?;
        let reply;
        (session, reply) = answer(&app, id, (session, &mut root), request).await;
        let reply = Bytes::try_from(reply).map_err(io::Error::other)?;
        writer.write_all(&reply).await?;
        // More is waiting: the replies go together.
        if reader.buffer().is_empty() {
            writer.flush().await?;
        }
    }
}

enum Wait {
    Ended,
    Idle,
    Request,
}

async fn ended(root: Option<&Arc<Root>>) {
    match root {
        Some(root) => root.ended().await,
        None => std::future::pending().await,
    }
}

/// A packet without its length.
async fn receive<R: AsyncRead + Unpin>(reader: &mut R) -> io::Result<Bytes> {
    let length = reader.read_u32().await?;
    if !(1..=LONGEST).contains(&length) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a packet of {length} bytes"),
        ));
    }
    let mut packet = vec![0; length as usize];
    reader.read_exact(&mut packet).await?;
    Ok(packet.into())
}

async fn answer(
    app: &Arc<App>,
    id: i64,
    (mut session, root): (Session, &mut Option<Arc<Root>>),
    mut request: Bytes,
) -> (Session, Packet) {
    let number = request
        .get(1..5)
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u32::from_be_bytes);
    let Ok(packet) = Packet::try_from(&mut request) else {
        let reply = refused(number, StatusCode::BadMessage, "the packet can't be read");
        return (session, reply);
    };
    let open = match root {
        Some(root) => Arc::clone(root),
        None => match open(app, id).await {
            Ok(open) => Arc::clone(root.insert(open)),
            Err(error) => return (session, requests::failed(number, &error)),
        },
    };
    blocking(move || {
        let reply = session.answer(&open, packet);
        (session, reply)
    })
    .await
}

async fn open(app: &Arc<App>, id: i64) -> Result<Arc<Root>> {
    let row = instance::find_by_id(app, id).await?;
    Root::open(app, &row).await
}
