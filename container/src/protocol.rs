//! The messages between daemon and monitor: one JSON object a packet, descriptors beside it.
//!
//! Frozen and append-only: a daemon that was upgraded talks to monitors that were not. A request that a monitor does
//! not know is answered with [`Reply::Unsupported`]; fields that one side does not know are ignored.
//!
//! ```text
//! launch, over the monitor's stdin:
//!   Start{spec} ─▶            ◀─ Cloned{pid} + [pidfd, netns, userns?]
//!   Continue ─▶               ◀─ Running{init_pid} | Failed{…}
//!   Proxy{spec} + [pidfd] ─▶  ◀─ Done | Failed{…}      instead of all that: a proxy of a container that runs
//! ever after, each connection to monitor.sock:
//!   Hello ─▶                  ◀─ Hello{…} + [pidfd, netns, userns?], later Exited{cause}
//!   Exec{…} + [in, out, err] ─▶  ◀─ ExecStarted{pid} (+ [pty master]) | ExecFailed{…}, later ExecExited{status}
//!   ExecSignal, ExecResize ─▶ (on the connection of that exec; no answer)
//!   Status, Signal, Shutdown, ConsoleAttach, ConsoleResize, ConsoleLog, Mount, Unmount, SetDevices, SetMounts, SetRlimits ─▶  ◀─ one answer
//! ```

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rlxc_sys::packet;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::exit::ExitCause;
use crate::proxy::ProxySpec;
use crate::spec::{ContainerSpec, DeviceSpec, MountInterception, MountSpec};

/// The version that `Hello` carries.
pub const PROTOCOL: u32 = 1;
/// The name of the socket in the runtime directory.
pub const SOCKET: &str = "monitor.sock";

/// What the daemon asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    /// Make the container, up to where its network can be plugged in.
    Start {
        /// The whole order.
        spec: Box<ContainerSpec>,
    },
    /// Go on to its init.
    Continue,
    /// Who are you? From now on, tell me of the end.
    Hello {
        /// The version that the daemon speaks.
        protocol: u32,
    },
    /// What is the state?
    Status,
    /// Send process 1 a signal.
    Signal {
        /// Its number.
        signal: i32,
    },
    /// Ask process 1 to power off, in the way it understands.
    Shutdown,
    /// Run a command.
    Exec(ExecRequest),
    /// Send the command of this connection a signal.
    ExecSignal {
        /// Its number.
        signal: i32,
    },
    /// Resize the terminal of the command of this connection.
    ExecResize {
        /// Columns.
        width: u16,
        /// Rows.
        height: u16,
    },
    /// Give me the console. Whoever had it loses it.
    ConsoleAttach,
    /// Resize the console.
    ConsoleResize {
        /// Columns.
        width: u16,
        /// Rows.
        height: u16,
    },
    /// Give me the last that was written to the console.
    ConsoleLog {
        /// Forget it then.
        #[serde(default)]
        clear: bool,
    },
    /// Instead of `Start`: be a proxy of a container that runs. Comes with a pidfd of its init.
    Proxy {
        /// The whole order.
        spec: Box<ProxySpec>,
    },
    /// Show a directory or file of the host.
    Mount {
        /// What, and where.
        mount: MountSpec,
    },
    /// Let a device of the instance consist of these nodes from now on.
    SetDevices {
        /// Its name.
        device: String,
        /// Each of which says so too.
        nodes: Vec<DeviceSpec>,
    },
    /// Give init, and commands from now on, these resource limits; all others are the monitor's own.
    SetRlimits {
        /// As [`ContainerSpec::rlimits`].
        rlimits: Vec<(String, u64, u64)>,
    },
    /// Let mount(2), which the container's filter hands over, do this from now on.
    SetMounts {
        /// As in [`crate::spec::Interception`].
        mounts: MountInterception,
    },
    /// Take away what is mounted at a place.
    Unmount {
        /// In the container.
        target: PathBuf,
    },
    /// From a daemon newer than this monitor.
    #[serde(other)]
    Unknown,
}

/// A command to run in the container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ExecRequest {
    /// The command; without a slash it is looked up in `PATH` of `env`, in the container.
    pub argv: Vec<String>,
    /// The whole environment.
    #[serde(default)]
    pub env: Vec<(String, String)>,
    /// User id in the container.
    #[serde(default)]
    pub user: u32,
    /// Group id in the container; there are no others.
    #[serde(default)]
    pub group: u32,
    /// Where it starts; `/` if that is missing.
    #[serde(default)]
    pub cwd: String,
    /// Its terminal, if it is to have one; else three descriptors come with the request.
    #[serde(default)]
    pub terminal: Option<TerminalSize>,
}

/// In characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

/// What the monitor answers and tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Reply {
    /// The container's first process is there and waits. Comes with pidfd, netns and, if unprivileged, userns.
    Cloned {
        /// On the host.
        pid: i32,
    },
    /// Its init was executed.
    Running {
        /// On the host.
        init_pid: i32,
    },
    /// It could not be started; nothing is left of it.
    Failed(Failure),
    /// Comes with pidfd, netns and, if unprivileged, userns.
    Hello {
        /// The version that the monitor speaks.
        protocol: u32,
        /// The instance.
        instance: String,
        /// On the host.
        init_pid: i32,
        /// Seconds since 1970.
        started_at: u64,
    },
    /// The state.
    Status {
        /// On the host.
        init_pid: i32,
        /// Commands that run by way of this monitor.
        commands: u32,
        /// Whether somebody holds the console.
        console_attached: bool,
    },
    /// Done.
    Done,
    /// Not done.
    Error {
        /// Why.
        detail: String,
        /// The kernel's error, 0 if it was none.
        #[serde(default)]
        errno: i32,
    },
    /// This monitor doesn't know the request.
    Unsupported,
    /// The command runs. With a terminal, its master comes along.
    ExecStarted {
        /// On the host.
        pid: i32,
    },
    /// The command does not run: `ENOENT` if there is none of that name, `EACCES` if it is no program.
    ExecFailed {
        /// The kernel's error.
        errno: i32,
        /// What was tried.
        detail: String,
    },
    /// The command ended.
    ExecExited {
        /// Its code, or 128 and the number of the signal.
        status: i32,
    },
    /// A stream socket comes along: the console.
    Console,
    /// A file comes along that holds the output, from its beginning.
    ConsoleLog {
        /// Bytes in it.
        size: u64,
    },
    /// Process 1 is gone, the monitor goes too.
    Exited {
        /// Why.
        cause: ExitCause,
    },
    /// From a monitor newer than this daemon.
    #[serde(other)]
    Unknown,
}

/// Why a container did not start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{phase}: {detail}")]
pub struct Failure {
    /// Where it stopped, in words.
    pub phase: String,
    /// The kernel's error, 0 if it was none.
    #[serde(default)]
    pub errno: i32,
    /// What and why.
    pub detail: String,
}

/// Sends a message.
pub fn send(
    socket: BorrowedFd<'_>,
    message: &impl Serialize,
    fds: &[BorrowedFd<'_>],
) -> io::Result<()> {
    packet::send(socket, &serde_json::to_vec(message)?, fds)
}

/// Waits for a message; `None` if the other end is closed.
pub fn receive<M: DeserializeOwned>(
    socket: BorrowedFd<'_>,
) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
    let Some(packet) = packet::receive(socket)? else {
        return Ok(None);
    };
    Ok(Some((serde_json::from_slice(&packet.bytes)?, packet.fds)))
}

#[cfg(test)]
mod tests;
