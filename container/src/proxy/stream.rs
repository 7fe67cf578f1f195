//! One connection: two sockets, and in each direction what is on its way from one to the other.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::Shutdown;
use rustix::pipe::{PipeFlags, SpliceFlags};

/// The most that is moved at once, and what a pipe may hold where the kernel lets it.
const CHUNK: usize = 1 << 20;
/// How often a connection moves something before others have their turn.
const ROUNDS: usize = 16;
/// Pipes that are kept for the next who needs one.
const SPARE: usize = 8;

/// A pipe: what was taken from one socket and did not go into the other yet.
#[derive(Debug)]
struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

/// Pipes that are empty. A connection has one only while something is on its way.
#[derive(Debug, Default)]
pub(super) struct Pipes(Vec<Pipe>);

impl Pipes {
    fn take(&mut self) -> io::Result<Pipe> {
        if let Some(pipe) = self.0.pop() {
            return Ok(pipe);
        }
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // A smaller pipe only means more calls.
        rustix::pipe::fcntl_setpipe_size(&write, CHUNK).ok();
        Ok(Pipe { read, write })
    }

    fn give(&mut self, pipe: Pipe) {
        if self.0.len() < SPARE {
            self.0.push(pipe);
        }
    }
}

/// One direction.
#[derive(Debug, Default)]
struct Flow {
    pipe: Option<Pipe>,
    held: usize,
    /// The sender has said all.
    ended: bool,
    /// And the receiver knows.
    told: bool,
}

/// Whether there may be more to do at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Not before the kernel says that something has changed.
    Waits,
    /// It gave way to others.
    Goes,
    /// Both sides have said all.
    Over,
}

impl Flow {
    fn pump(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        pipes: &mut Pipes,
    ) -> io::Result<Progress> {
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        for _ in 0..ROUNDS {
            if self.held == 0 {
                if self.ended {
                    self.tell(to);
                    return Ok(Progress::Waits);
                }
                let pipe = pipes.take()?;
                match rustix::pipe::splice(from, None, &pipe.write, None, CHUNK, flags) {
                    Ok(0) => {
                        self.ended = true;
                        pipes.give(pipe);
                        continue;
                    }
                    Ok(count) => (self.held, self.pipe) = (count, Some(pipe)),
                    Err(Errno::AGAIN) => {
                        pipes.give(pipe);
                        return Ok(Progress::Waits);
                    }
                    Err(errno) => return Err(errno.into()),
                }
            }
            let Some(pipe) = self.pipe.take() else {
                return Ok(Progress::Waits);
            };
            match rustix::pipe::splice(&pipe.read, None, to, None, self.held, flags) {
                Ok(count) => self.held -= count.min(self.held),
                Err(Errno::AGAIN) => {
                    self.pipe = Some(pipe);
                    return Ok(Progress::Waits);
                }
                Err(errno) => return Err(errno.into()),
            }
            if self.held == 0 {
                pipes.give(pipe);
            } else {
                self.pipe = Some(pipe);
            }
        }
        Ok(Progress::Goes)
    }

    fn tell(&mut self, to: BorrowedFd<'_>) {
        if !self.told {
            self.told = true;
            // One that is gone altogether shows at the next read.
            rustix::net::shutdown(to, Shutdown::Write).ok();
        }
    }
}

/// A connection.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) near: OwnedFd,
    pub(super) far: OwnedFd,
    /// Said to the far side before anything else.
    greeting: Option<Vec<u8>>,
    connected: bool,
    out: Flow,
    back: Flow,
}

impl Stream {
    pub(super) fn new(near: OwnedFd, far: OwnedFd, greeting: Option<Vec<u8>>) -> Self {
        Self {
            near,
            far,
            greeting,
            connected: false,
            out: Flow::default(),
            back: Flow::default(),
        }
    }

    /// The far socket has become writable for the first time: it is connected, or failed to.
    pub(super) fn connected(&mut self) -> io::Result<()> {
        if !self.connected {
            rustix::net::sockopt::socket_error(&self.far)??;
            self.connected = true;
            if let Some(greeting) = self.greeting.take() {
                // The buffer of a new socket has room for a line.
                rustix::io::write(&self.far, &greeting)?;
            }
        }
        Ok(())
    }

    /// Moves what can be moved.
    pub(super) fn pump(&mut self, pipes: &mut Pipes) -> io::Result<Progress> {
        if !self.connected {
            return Ok(Progress::Waits);
        }
        let out = self.out.pump(self.near.as_fd(), self.far.as_fd(), pipes)?;
        let back = self.back.pump(self.far.as_fd(), self.near.as_fd(), pipes)?;
        if self.out.told && self.back.told {
            return Ok(Progress::Over);
        }
        Ok(if out == Progress::Goes || back == Progress::Goes {
            Progress::Goes
        } else {
            Progress::Waits
        })
    }
}

/// The line of version 1 of the PROXY protocol, as HAProxy's document has it.
pub(super) fn greeting(near: BorrowedFd<'_>) -> Vec<u8> {
    let source = rustix::net::getpeername(near).ok().flatten();
    let source = source.and_then(|name| SocketAddr::try_from(name).ok());
    let destination = rustix::net::getsockname(near).ok();
    let destination = destination.and_then(|name| SocketAddr::try_from(name).ok());
    match source.zip(destination) {
        Some((source, destination)) => {
            let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
            format!(
                "PROXY {family} {} {} {} {}\r\n",
                source.ip(),
                destination.ip(),
                source.port(),
                destination.port()
            )
        }
        None => "PROXY UNKNOWN\r\n".to_owned(),
    }
    .into_bytes()
}
