//! Our own streams and signals, as channels that a session reads.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use rlxc_client::session::Control;
use rustix::event::{PollFd, PollFlags};
use rustix::io::ReadWriteFlags;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::terminal;

/// How much is read at once.
const CHUNK: usize = 256 << 10;
/// What a pipe on stdin is made to hold.
const PIPE: usize = 1 << 20;

/// Reads stdin on a thread of its own: it may be a file, which no poll can wait for, and making a terminal that we
/// share non-blocking would break the others.
pub(crate) fn read_stdin() -> mpsc::Receiver<Bytes> {
    let (sender, receiver) = mpsc::channel(4);
    std::thread::spawn(move || {
        let stdin = io::stdin().lock();
        // It may be no pipe, or may not grow: then it is as it is.
        let _grown = rustix::pipe::fcntl_setpipe_size(&stdin, PIPE);
        loop {
            let mut buffer = Vec::with_capacity(CHUNK);
            match rustix::io::read(&stdin, rustix::buffer::spare_capacity(&mut buffer)) {
                Ok(0) => return,
                Ok(count) => {
                    // A key that was pressed need not hold a whole buffer.
                    if count < CHUNK / 8 {
                        buffer.shrink_to_fit();
                    }
                    if sender.blocking_send(buffer.into()).is_err() {
                        return;
                    }
                }
                Err(rustix::io::Errno::INTR) => {}
                // As good as the end: there is nothing more to have.
                Err(_) => return,
            }
        }
    });
    receiver
}

/// What is written to one of our own streams.
pub(crate) struct Output {
    sender: mpsc::Sender<Bytes>,
    task: JoinHandle<io::Result<()>>,
}

impl Output {
    /// Writes at once what can be written without waiting, where the kernel knows that (pipes), and the rest on a thread of
    /// its own: signals and stdin must go on meanwhile.
    pub(crate) fn to<F: AsFd + Send + Sync + 'static>(stream: F) -> Self {
        let (sender, mut receiver) = mpsc::channel::<Bytes>(4);
        let task = tokio::spawn(async move {
            let stream = Arc::new(stream);
            while let Some(mut bytes) = receiver.recv().await {
                bytes.advance(write_now(&stream, &bytes));
                if !bytes.is_empty() {
                    let stream = Arc::clone(&stream);
                    let writing = tokio::task::spawn_blocking(move || write_all(&stream, &bytes));
                    writing.await.map_err(io::Error::other)??;
                }
            }
            Ok(())
        });
        Self { sender, task }
    }

    /// Where to put the bytes.
    pub(crate) fn sender(&self) -> mpsc::Sender<Bytes> {
        self.sender.clone()
    }

    /// Waits until all is written; nobody may have a sender any more.
    pub(crate) async fn finish(self) -> io::Result<()> {
        drop(self.sender);
        self.task.await.map_err(io::Error::other)?
    }
}

/// Writes without waiting, and says how much; an error comes back when the rest is written.
fn write_now(stream: &impl AsFd, bytes: &[u8]) -> usize {
    const WHERE_IT_STANDS: u64 = u64::MAX;
    let piece = [io::IoSlice::new(bytes)];
    rustix::io::pwritev2(stream, &piece, WHERE_IT_STANDS, ReadWriteFlags::NOWAIT).unwrap_or(0)
}

fn write_all(stream: &impl AsFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(stream, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(rustix::io::Errno::INTR) => {}
            // Somebody whom we share it with has made it non-blocking.
            Err(rustix::io::Errno::AGAIN) => {
                let mut ready = [PollFd::new(stream, PollFlags::OUT)];
                rustix::event::poll(&mut ready, None)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// A stdin that is at its end.
pub(crate) fn no_stdin() -> mpsc::Receiver<Bytes> {
    mpsc::channel(1).1
}

/// Changes of the window's size.
pub(crate) fn window_changes() -> io::Result<mpsc::Receiver<Control>> {
    let mut changes = signal(SignalKind::window_change())?;
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(async move {
        while changes.recv().await.is_some() {
            let (width, height) = terminal::size();
            if sender
                .send(Control::Resize { width, height })
                .await
                .is_err()
            {
                return;
            }
        }
    });
    Ok(receiver)
}

/// Signals that are the command's, not ours.
pub(crate) fn forwarded_signals() -> io::Result<mpsc::Receiver<Control>> {
    let (sender, receiver) = mpsc::channel(4);
    let kinds = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
        SignalKind::quit(),
        SignalKind::user_defined1(),
        SignalKind::user_defined2(),
    ];
    for kind in kinds {
        let mut arrivals = signal(kind)?;
        let sender = sender.clone();
        tokio::spawn(async move {
            while arrivals.recv().await.is_some() {
                if sender
                    .send(Control::Signal(kind.as_raw_value()))
                    .await
                    .is_err()
                {
                    return;
                }
            }
        });
    }
    Ok(receiver)
}

/// Returns when we are told to end, so that a terminal in raw mode is put right first.
pub(crate) async fn told_to_end() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        _signal = terminate.recv() => {}
        _signal = hangup.recv() => {}
    }
    Ok(())
}

/// Returns when we are told to end, by Ctrl-C too.
pub(crate) async fn told_to_end_or_interrupted() -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        told = told_to_end() => told,
        _signal = interrupt.recv() => Ok(()),
    }
}

/// Finds Ctrl-a q in what is typed; Ctrl-a Ctrl-a stands for itself.
#[derive(Debug, Default)]
pub(crate) struct DetachKeys {
    armed: bool,
}

const CTRL_A: u8 = 0x01;

impl DetachKeys {
    /// What is to be sent, and whether to detach after it.
    pub(crate) fn filter(&mut self, typed: &[u8]) -> (Bytes, bool) {
        let mut send = Vec::with_capacity(typed.len() + 1);
        for &key in typed {
            match (self.armed, key) {
                (false, CTRL_A) => self.armed = true,
                (true, b'q') => return (send.into(), true),
                (true, CTRL_A) => {
                    self.armed = false;
                    send.push(CTRL_A);
                }
                (true, other) => {
                    self.armed = false;
                    send.extend([CTRL_A, other]);
                }
                (false, other) => send.push(other),
            }
        }
        (send.into(), false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ctrl_a_q_detaches() {
        let mut keys = DetachKeys::default();
        assert_eq!(keys.filter(b"ls\x01"), (Bytes::from_static(b"ls"), false));
        assert_eq!(keys.filter(b"qx"), (Bytes::new(), true));
    }

    #[test]
    fn other_keys_go_through() {
        let mut keys = DetachKeys::default();
        assert_eq!(
            keys.filter(b"\x01\x01\x01aq"),
            (Bytes::from_static(b"\x01\x01aq"), false)
        );
    }
}
