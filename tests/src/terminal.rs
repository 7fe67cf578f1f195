//! A terminal of our own around a program: for what only happens on one (raw mode, resize, detach keys).

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::process::{Run, command, exit_code, patient};

/// A program that runs on a pty whose other end we hold.
#[derive(Debug)]
pub struct Terminal {
    master: File,
    child: Child,
    output: mpsc::Receiver<Vec<u8>>,
    seen: String,
}

impl Terminal {
    /// Starts `run` as the leader of a new session on a new terminal of that size.
    pub fn spawn(run: &Run, columns: u16, rows: u16) -> anyhow::Result<Self> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).context("open a pty")?;
        grantpt(&master)?;
        unlockpt(&master)?;
        tcsetwinsize(&master, size(columns, rows))?;
        let name = ptsname(&master, Vec::new())?;
        let slave: OwnedFd =
            rustix::fs::open(&*name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty())?;
        let inner = run.command();
        // Only a program that is exec'd can take a terminal without unsafe code here; `setsid` does it for us.
        let child = command("setsid")
            .args(["--ctty", "--wait"])
            .arg(inner.get_program())
            .args(inner.get_args())
            .stdin(Stdio::from(slave.try_clone()?))
            .stdout(Stdio::from(slave.try_clone()?))
            .stderr(Stdio::from(slave))
            .spawn()
            .context("start `setsid`")?;
        let master = File::from(master);
        let output = drain(master.try_clone()?);
        Ok(Self {
            master,
            child,
            output,
            seen: String::new(),
        })
    }

    /// Types.
    pub fn send(&mut self, keys: &str) -> anyhow::Result<()> {
        self.master
            .write_all(keys.as_bytes())
            .context("type on the terminal")
    }

    /// Changes the window; the foreground process group gets SIGWINCH.
    pub fn resize(&self, columns: u16, rows: u16) -> anyhow::Result<()> {
        tcsetwinsize(&self.master, size(columns, rows)).context("resize the terminal")
    }

    /// Reads until the text has come; panics with all that was seen if it doesn't. What follows it stays.
    #[track_caller]
    pub fn expect(&mut self, text: &str) {
        let end = Instant::now() + patient(Duration::from_secs(20));
        loop {
            if let Some(at) = self.seen.find(text) {
                self.seen.drain(..at + text.len());
                return;
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(mpsc::RecvTimeoutError::Timeout | mpsc::RecvTimeoutError::Disconnected) => {
                    panic!(
                        "`{text}` does not come on the terminal; seen: {:?}",
                        self.seen
                    )
                }
            }
        }
    }

    /// Waits for the end of the program; its exit code.
    #[track_caller]
    pub fn wait(mut self) -> i32 {
        let end = Instant::now() + patient(Duration::from_secs(20));
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return exit_code(status),
                Ok(None) if Instant::now() < end => std::thread::sleep(Duration::from_millis(10)),
                other => panic!(
                    "the program on the terminal does not end: {other:?}; seen: {:?}",
                    self.seen
                ),
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _gone = self.child.kill().is_err() || self.child.wait().is_err();
    }
}

fn size(columns: u16, rows: u16) -> Winsize {
    Winsize {
        ws_col: columns,
        ws_row: rows,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

fn drain(mut master: File) -> mpsc::Receiver<Vec<u8>> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        // EIO is how a pty says that nobody is at the other end any more.
        while let Ok(n @ 1..) = master.read(&mut buffer) {
            if send.send(buffer[..n].to_vec()).is_err() {
                return;
            }
        }
    });
    receive
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_sees_the_size_and_its_change() {
        let mut terminal = Terminal::spawn(&Run::new(["sh"]), 91, 27).unwrap();
        terminal.send("stty size\n").unwrap();
        terminal.expect("27 91");
        terminal.resize(100, 30).unwrap();
        terminal.send("stty size; exit 3\n").unwrap();
        terminal.expect("30 100");
        assert_eq!(terminal.wait(), 3);
    }
}
