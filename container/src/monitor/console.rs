//! The console of a container: what it writes is kept (a ring in memory, a log file), and one client may hold it.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rlxc_sys::pty;
use rustix::event::PollFlags;
use rustix::fs::MemfdFlags;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

/// Bytes of output kept in memory; touched only as far as they are written.
const RING: usize = 64 << 10;
/// The log begins anew when it is this long.
const LOG_LIMIT: u64 = 1 << 20;
const CHUNK: usize = 4096;

/// The console.
pub(super) struct Console {
    pub(super) master: OwnedFd,
    /// Never used, only held: with no slave open the master would be "hung up" for as long.
    _slave: Option<OwnedFd>,
    ring: VecDeque<u8>,
    log: Option<File>,
    pub(super) client: Option<OwnedFd>,
    /// Input that the terminal did not take yet.
    pending: Vec<u8>,
}

impl Console {
    pub(super) fn new(master: OwnedFd, log: &Path) -> Self {
        // Where this fails, reads and writes block for a moment: no reason not to run.
        rustix::io::ioctl_fionbio(&master, true).ok();
        let log = (!log.as_os_str().is_empty())
            .then(|| OpenOptions::new().append(true).create(true).open(log));
        Self {
            _slave: pty::peer(master.as_fd()).ok(),
            master,
            ring: VecDeque::new(),
            log: log.and_then(Result::ok),
            client: None,
            pending: Vec::new(),
        }
    }

    /// What to poll the master for.
    pub(super) fn master_events(&self) -> PollFlags {
        if self.pending.is_empty() {
            PollFlags::IN
        } else {
            PollFlags::IN | PollFlags::OUT
        }
    }

    /// What to poll the client for: nothing new while the terminal is full.
    pub(super) fn client_events(&self) -> PollFlags {
        if self.pending.is_empty() {
            PollFlags::IN
        } else {
            PollFlags::empty()
        }
    }

    /// Moves output to ring, log and client. A client that doesn't read loses some: the container must not wait for it.
    pub(super) fn pump_output(&mut self) {
        self.flush_input();
        let mut buffer = [0; CHUNK];
        let Ok(length @ 1..) = rustix::io::read(&self.master, &mut buffer) else {
            return;
        };
        let output = &buffer[..length];
        self.keep(output);
        if let Some(client) = &self.client
            && let Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) =
                rustix::net::send(client, output, rustix::net::SendFlags::NOSIGNAL)
        {
            self.client = None;
        }
    }

    fn keep(&mut self, output: &[u8]) {
        let surplus = (self.ring.len() + output.len()).saturating_sub(RING);
        self.ring.drain(..surplus.min(self.ring.len()));
        self.ring.extend(output);
        if let Some(log) = &mut self.log {
            if log.metadata().is_ok_and(|stat| stat.len() > LOG_LIMIT) {
                drop(log.set_len(0));
            }
            // A full disk must not end the monitor.
            drop(log.write_all(output));
        }
    }

    /// Moves input of the client to the terminal.
    pub(super) fn pump_input(&mut self) {
        let Some(client) = &self.client else {
            return;
        };
        let mut buffer = [0; CHUNK];
        match rustix::io::read(client, &mut buffer) {
            Ok(0) => self.client = None,
            Ok(length) => {
                self.pending.extend_from_slice(&buffer[..length]);
                self.flush_input();
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(_) => self.client = None,
        }
    }

    fn flush_input(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        if let Ok(length) = rustix::io::write(&self.master, &self.pending) {
            self.pending.drain(..length);
            if self.pending.is_empty() {
                self.pending = Vec::new();
            }
        }
    }

    /// Gives the console to a new client: the other end of the stream is returned.
    pub(super) fn attach(&mut self) -> io::Result<OwnedFd> {
        let (ours, theirs) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )?;
        // Only our end: the client decides for its own.
        rustix::io::ioctl_fionbio(&ours, true)?;
        self.client = Some(ours);
        Ok(theirs)
    }

    /// The last output, in a file of its own.
    pub(super) fn output(&self) -> io::Result<(OwnedFd, u64)> {
        let memory = rustix::fs::memfd_create("console", MemfdFlags::CLOEXEC)?;
        let mut file = File::from(memory);
        let (older, newer) = self.ring.as_slices();
        file.write_all(older)?;
        file.write_all(newer)?;
        file.rewind()?;
        Ok((file.into(), self.ring.len() as u64))
    }

    pub(super) fn clear(&mut self) {
        self.ring = VecDeque::new();
    }

    /// Reads what init wrote last, when it is gone.
    pub(super) fn drain(&mut self) {
        for _chunk in 0..RING / CHUNK {
            let before = self.ring.len();
            self.pump_output();
            if self.ring.len() == before {
                break;
            }
        }
    }
}
