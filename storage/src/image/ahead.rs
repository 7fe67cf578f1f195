//! A writer in a thread of its own: what is written is taken at once and goes out while more is made.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

const CHUNK: usize = 1 << 19;
const CHUNKS_AHEAD: usize = 8;

/// Hands everything to a writer that works in a thread.
pub(crate) struct Ahead<W> {
    buffer: Vec<u8>,
    /// `None` once the thread has been asked to end.
    chunks: Option<SyncSender<Vec<u8>>>,
    thread: Option<JoinHandle<io::Result<W>>>,
}

impl<W: Write + Send + 'static> Ahead<W> {
    pub(crate) fn new(out: W) -> io::Result<Self> {
        let (sender, chunks) = sync_channel(CHUNKS_AHEAD);
        let thread = std::thread::Builder::new()
            .name("rlxc-write".into())
            .spawn(move || write_all(out, &chunks))?;
        Ok(Self {
            buffer: Vec::with_capacity(CHUNK),
            chunks: Some(sender),
            thread: Some(thread),
        })
    }

    fn send(&mut self) -> io::Result<()> {
        let chunk = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK));
        let sent = self.chunks.as_ref().map(|chunks| chunks.send(chunk));
        match sent {
            Some(Ok(())) => Ok(()),
            // The thread only ends early for an error.
            _ => self.join().and(Err(gone())),
        }
    }

    fn join(&mut self) -> io::Result<W> {
        self.chunks = None;
        let thread = self.thread.take().ok_or_else(gone)?;
        let ended = thread.join();
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Waits until all of it is written.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        if !self.buffer.is_empty() {
            self.send()?;
        }
        self.join()
    }
}

impl<W: Write + Send + 'static> Write for Ahead<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(CHUNK - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..count]);
        if self.buffer.len() == CHUNK {
            self.send()?;
        }
        Ok(count)
    }

    /// Only begins: [`Ahead::finish`] waits.
    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.send()
    }
}

fn gone() -> io::Error {
    io::Error::other("the thread that writes has ended")
}

fn write_all<W: Write>(mut out: W, chunks: &Receiver<Vec<u8>>) -> io::Result<W> {
    for chunk in chunks {
        out.write_all(&chunk)?;
    }
    out.flush()?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_arrives_in_order() {
        let text: Vec<String> = (0..CHUNK / 2).map(|number| number.to_string()).collect();
        let bytes = text.concat().into_bytes();
        let mut ahead = Ahead::new(Vec::<u8>::new()).unwrap();
        for piece in bytes.chunks(10_007) {
            ahead.write_all(piece).unwrap();
        }
        assert!(ahead.finish().unwrap() == bytes);
        assert!(
            Ahead::new(Vec::<u8>::new())
                .unwrap()
                .finish()
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn whoever_writes_is_told_of_the_error() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut ahead = Ahead::new(Full).unwrap();
        let error = loop {
            if let Err(error) = ahead.write_all(&[0; 4096]) {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(ahead.write_all(&vec![0; CHUNK]).is_err());
    }
}
