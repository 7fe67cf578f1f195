//! The seam between the daemon and what makes containers: a monitor process for each, see `rlxc_container::monitor`.
//!
//! ```text
//! Runtime::prepare(spec) ─▶ Prepared (drop: abort) ─release─▶ Running ─▶ exited()
//! Runtime::attach(directory) ─▶ Running | Exited | Absent     after a restart of the daemon
//! ```
//! [`MonitorRuntime`] is real, [`fake::FakeRuntime`] is scripted.

use std::fmt::Debug;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use rlxc_container::cgroup::{Cgroup, CgroupError};
use rlxc_container::protocol::Failure;
use rlxc_container::proxy::ProxySpec;
use rlxc_container::spec::{ContainerSpec, DeviceSpec, Limits, MountInterception, MountSpec};

mod binary;
mod channel;
pub mod fake;
mod monitor;
mod netns;
mod proxy;
mod running;

pub use monitor::MonitorRuntime;
pub use netns::Netns;
pub use rlxc_container::exit::{ExitCause, ExitRecord};
pub use rlxc_container::protocol::{ExecRequest, TerminalSize};

/// What went wrong between daemon and container.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The program is not where it should be.
    #[error("program `rlxc-monitor` is missing: it was looked for in {}", looked_in.join(", "))]
    MonitorMissing {
        /// Directories.
        looked_in: Vec<String>,
    },
    /// The program could not be opened or executed.
    #[error("run `{}`", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A socket failed.
    #[error("talk to the monitor of the container ({what})")]
    Talk {
        /// What was being said.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The monitor is gone.
    #[error("the container's monitor hung up ({what})")]
    HungUp {
        /// What was being said.
        what: &'static str,
    },
    /// The monitor answered something else than it should.
    #[error("the container's monitor gave an answer that does not fit ({what})")]
    Unexpected {
        /// What was being said.
        what: &'static str,
    },
    /// The container runs under a monitor that is older than this daemon and can't do that.
    #[error("the container's monitor is too old for this ({what}): restart the container")]
    Unsupported {
        /// What was asked for.
        what: &'static str,
    },
    /// The container could not be started; nothing is left of it.
    #[error("start the container")]
    Start(#[source] Failure),
    /// The kernel does not hold it to its limits.
    #[error("limit the container")]
    Limit(#[source] CgroupError),
    /// The monitor refused a request.
    #[error("{what}: {detail}")]
    Refused {
        /// What was asked for.
        what: &'static str,
        /// Why.
        detail: String,
        /// The kernel's error, 0 if it was none.
        errno: i32,
    },
    /// There is no such command in the container.
    #[error("{detail}")]
    CommandNotFound {
        /// What was tried.
        detail: String,
    },
    /// The command can't be executed.
    #[error("{detail}")]
    CommandNotExecutable {
        /// What was tried.
        detail: String,
    },
}

/// Makes containers.
#[async_trait]
pub trait Runtime: Send + Sync + Debug {
    /// A monitor, and a cloned first process that waits for [`Prepared::release`]. Dropping what is returned aborts.
    async fn prepare(&self, spec: ContainerSpec) -> Result<Box<dyn Prepared>, RuntimeError>;

    /// Finds the container of a runtime directory, whoever started it.
    async fn attach(&self, runtime_dir: &Path) -> Result<Attached, RuntimeError>;

    /// Sets the limits of a container that runs; what is not set is lifted.
    async fn limit(&self, cgroup: Cgroup, limits: Limits) -> Result<(), RuntimeError>;

    /// Puts a container that runs on processors.
    async fn place(&self, cgroup: Cgroup, place: Placement) -> Result<(), RuntimeError>;

    /// The processors that a container is kept to, as a list.
    fn cpus(&self, cgroup: &Cgroup) -> Option<String>;

    /// Starts a proxy of a container, given a pidfd of its init. When this returns, it listens.
    async fn start_proxy(
        &self,
        spec: ProxySpec,
        instance: BorrowedFd<'_>,
    ) -> Result<(), RuntimeError>;

    /// Whether a proxy holds this lock.
    fn is_proxy_running(&self, lock: &Path) -> bool;

    /// Ends the proxy that holds this lock; fine if there is none.
    async fn stop_proxy(&self, lock: &Path) -> Result<(), RuntimeError>;
}

/// Processors, and NUMA nodes that memory comes from, as lists; all that there are if not said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placement {
    /// `0-1,3`.
    pub cpus: Option<String>,
    /// `0`.
    pub nodes: Option<String>,
}

/// What a runtime directory tells.
#[derive(Debug)]
pub enum Attached {
    /// It runs.
    Running(Arc<dyn Running>),
    /// It ended while nobody listened.
    Exited(ExitRecord),
    /// There is none, or its monitor was killed and took it along.
    Absent,
}

/// A container whose network can be plugged in.
#[async_trait]
pub trait Prepared: Send + Sync + Debug {
    /// Its network namespace.
    fn netns(&self) -> BorrowedFd<'_>;

    /// Its first process, on the host.
    fn init_pid(&self) -> i32;

    /// Lets it go on, up to where its init was executed.
    async fn release(self: Box<Self>) -> Result<Arc<dyn Running>, RuntimeError>;
}

/// A container that runs, or has just ended.
#[async_trait]
pub trait Running: Send + Sync + Debug {
    /// Its init, on the host.
    fn init_pid(&self) -> i32;

    /// Its init; readable once it has ended.
    fn pidfd(&self) -> BorrowedFd<'_>;

    /// Its network namespace.
    fn netns(&self) -> &Netns;

    /// Waits for its end; any number may wait, now and later.
    async fn exited(&self) -> ExitCause;

    /// Sends init a signal.
    async fn signal(&self, signal: i32) -> Result<(), RuntimeError>;

    /// Asks init to power off, in whatever way it understands. What it makes of it shows in [`Self::exited`].
    async fn shutdown(&self) -> Result<(), RuntimeError>;

    /// Kills init and with it all processes of the container.
    async fn kill(&self) -> Result<(), RuntimeError>;

    /// Runs a command. Without a terminal, `stdio` holds its three streams.
    async fn exec(
        &self,
        request: ExecRequest,
        stdio: Vec<OwnedFd>,
    ) -> Result<Box<dyn ExecSession>, RuntimeError>;

    /// Shows a directory or file of the host in the container.
    async fn mount(&self, mount: MountSpec) -> Result<(), RuntimeError>;

    /// Lets a device of the instance consist of these nodes from now on.
    async fn set_devices(&self, device: &str, nodes: Vec<DeviceSpec>) -> Result<(), RuntimeError>;

    /// Gives init, and commands from now on, resource limits: name, soft, hard; all others are what the host gives.
    async fn set_rlimits(&self, rlimits: Vec<(String, u64, u64)>) -> Result<(), RuntimeError>;

    /// Lets mount(2), which it intercepts, do this from now on.
    async fn set_mounts(&self, mounts: MountInterception) -> Result<(), RuntimeError>;

    /// Takes away what is mounted at a place of the container; nothing mounted there is no error.
    async fn unmount(&self, target: &Path) -> Result<(), RuntimeError>;

    /// The console as a stream socket. Whoever had it loses it.
    async fn console(&self) -> Result<OwnedFd, RuntimeError>;

    /// Whether somebody has the console.
    async fn console_attached(&self) -> Result<bool, RuntimeError>;

    /// Resizes the console.
    async fn console_resize(&self, size: TerminalSize) -> Result<(), RuntimeError>;

    /// The last 64 KiB or less that the console was written; forgotten then if `clear`.
    async fn console_log(&self, clear: bool) -> Result<Vec<u8>, RuntimeError>;
}

/// A command that runs. Dropping this does not end it.
#[async_trait]
pub trait ExecSession: Send + Sync + Debug {
    /// On the host.
    fn pid(&self) -> i32;

    /// The master of its terminal, once; `None` without one.
    fn take_terminal(&mut self) -> Option<OwnedFd>;

    /// Waits for its end: exit code, or 128 and the number of the signal.
    async fn wait(&self) -> Result<i32, RuntimeError>;

    /// Sends it a signal; one that has ended is no error.
    async fn signal(&self, signal: i32) -> Result<(), RuntimeError>;

    /// Resizes its terminal.
    async fn resize(&self, size: TerminalSize) -> Result<(), RuntimeError>;
}
