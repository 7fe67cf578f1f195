//! A container that runs, by way of its monitor: one connection that listens for the end, one more for each request.

use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use rlxc_container::exit::{ExitCause, ExitRecord};
use rlxc_container::protocol::{PROTOCOL, Reply, Request};
use rlxc_container::spec::{DeviceSpec, MountInterception, MountSpec};
use rlxc_sys::pidfd;
use tokio::sync::watch;

use super::channel::Channel;
use super::{ExecRequest, ExecSession, Netns, Running, RuntimeError, TerminalSize};

const ENOENT: i32 = 2;
const SIGKILL: i32 = 9;

/// The real thing.
#[derive(Debug)]
pub(super) struct MonitorRunning {
    runtime_dir: PathBuf,
    init_pid: i32,
    pidfd: OwnedFd,
    netns: Netns,
    end: watch::Receiver<Option<ExitCause>>,
}

impl MonitorRunning {
    /// Says hello; from then on a task listens for the end.
    pub(super) async fn greet(
        channel: Channel,
        runtime_dir: PathBuf,
    ) -> Result<Arc<dyn Running>, RuntimeError> {
        const WHAT: &str = "hello";
        let hello = Request::Hello { protocol: PROTOCOL };
        let (reply, fds) = channel.ask(WHAT, &hello, &[]).await?;
        let mut fds = fds.into_iter();
        let (Reply::Hello { init_pid, .. }, Some(pidfd), Some(netns)) =
            (reply, fds.next(), fds.next())
        else {
            return Err(RuntimeError::Unexpected { what: WHAT });
        };
        let (tell, end) = watch::channel(None);
        let directory = runtime_dir.clone();
        tokio::spawn(async move {
            let cause = listen(&channel, &directory).await;
            // Nobody may be interested any more.
            tell.send(Some(cause)).ok();
        });
        Ok(Arc::new(Self {
            runtime_dir,
            init_pid,
            pidfd,
            netns: netns.into(),
            end,
        }))
    }

    /// One that ended before anybody could greet it.
    pub(super) fn ended(
        runtime_dir: PathBuf,
        init_pid: i32,
        pidfd: OwnedFd,
        netns: OwnedFd,
    ) -> Arc<dyn Running> {
        let (_tell, end) = watch::channel(Some(recorded(&runtime_dir)));
        Arc::new(Self {
            runtime_dir,
            init_pid,
            pidfd,
            netns: netns.into(),
            end,
        })
    }

    fn connect(&self, what: &'static str) -> Result<Channel, RuntimeError> {
        Channel::connect(&self.runtime_dir).map_err(|source| RuntimeError::Talk { what, source })
    }

    async fn ask(
        &self,
        what: &'static str,
        request: &Request,
    ) -> Result<(Reply, Vec<OwnedFd>), RuntimeError> {
        self.connect(what)?.ask(what, request, &[]).await
    }

    async fn command(&self, what: &'static str, request: &Request) -> Result<(), RuntimeError> {
        match self.ask(what, request).await? {
            (Reply::Done, _) => Ok(()),
            _ => Err(RuntimeError::Unexpected { what }),
        }
    }
}

/// Waits for the end of a container.
async fn listen(channel: &Channel, runtime_dir: &Path) -> ExitCause {
    loop {
        match channel.receive("events").await {
            Ok((Reply::Exited { cause }, _)) => return cause,
            // An event of a newer monitor.
            Ok(_) => {}
            Err(_gone) => return recorded(runtime_dir),
        }
    }
}

/// What the monitor wrote. One that was killed wrote nothing, and init was killed with it.
fn recorded(runtime_dir: &Path) -> ExitCause {
    match ExitRecord::read(runtime_dir) {
        Ok(Some(record)) => record.cause,
        Ok(None) | Err(_) => ExitCause::Signal { signal: SIGKILL },
    }
}

#[async_trait]
impl Running for MonitorRunning {
    fn init_pid(&self) -> i32 {
        self.init_pid
    }

    fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    fn netns(&self) -> &Netns {
        &self.netns
    }

    async fn exited(&self) -> ExitCause {
        let mut end = self.end.clone();
        let cause = match end.wait_for(Option::is_some).await {
            Ok(cause) => *cause,
            Err(_gone) => None,
        };
        match cause {
            Some(cause) => cause,
            // The listening task is gone without a word: the daemon is being shut down.
            None => std::future::pending().await,
        }
    }

    async fn signal(&self, signal: i32) -> Result<(), RuntimeError> {
        self.command("signal", &Request::Signal { signal }).await
    }

    async fn shutdown(&self) -> Result<(), RuntimeError> {
        self.command("shutdown", &Request::Shutdown).await
    }

    async fn kill(&self) -> Result<(), RuntimeError> {
        match pidfd::send_signal(self.pidfd.as_fd(), SIGKILL) {
            // Ended already.
            Err(error) if error.raw_os_error() == Some(3) => Ok(()),
            result => result.map_err(|source| RuntimeError::Talk {
                what: "kill",
                source,
            }),
        }
    }

    async fn exec(
        &self,
        request: ExecRequest,
        stdio: Vec<OwnedFd>,
    ) -> Result<Box<dyn ExecSession>, RuntimeError> {
        const WHAT: &str = "exec";
        let channel = self.connect(WHAT)?;
        let fds: Vec<_> = stdio.iter().map(AsFd::as_fd).collect();
        match channel.ask(WHAT, &Request::Exec(request), &fds).await? {
            (Reply::ExecStarted { pid }, fds) => Ok(Box::new(MonitorExec {
                channel,
                pid,
                terminal: fds.into_iter().next(),
            })),
            (Reply::ExecFailed { errno, detail }, _) => Err(exec_error(errno, detail)),
            _ => Err(RuntimeError::Unexpected { what: WHAT }),
        }
    }

    async fn mount(&self, mount: MountSpec) -> Result<(), RuntimeError> {
        self.command("mount", &Request::Mount { mount }).await
    }

    async fn set_devices(&self, device: &str, nodes: Vec<DeviceSpec>) -> Result<(), RuntimeError> {
        let device = device.to_owned();
        self.command("devices", &Request::SetDevices { device, nodes })
            .await
    }

    async fn set_rlimits(&self, rlimits: Vec<(String, u64, u64)>) -> Result<(), RuntimeError> {
        self.command("resource limits", &Request::SetRlimits { rlimits })
            .await
    }

    async fn set_mounts(&self, mounts: MountInterception) -> Result<(), RuntimeError> {
        self.command("mounts", &Request::SetMounts { mounts }).await
    }

    async fn unmount(&self, target: &Path) -> Result<(), RuntimeError> {
        let target = target.to_owned();
        self.command("unmount", &Request::Unmount { target }).await
    }

    async fn console(&self) -> Result<OwnedFd, RuntimeError> {
        const WHAT: &str = "console";
        let (reply, fds) = self.ask(WHAT, &Request::ConsoleAttach).await?;
        match (reply, fds.into_iter().next()) {
            (Reply::Console, Some(stream)) => Ok(stream),
            _ => Err(RuntimeError::Unexpected { what: WHAT }),
        }
    }

    async fn console_resize(&self, size: TerminalSize) -> Result<(), RuntimeError> {
        let TerminalSize { width, height } = size;
        self.command("console resize", &Request::ConsoleResize { width, height })
            .await
    }

    async fn console_attached(&self) -> Result<bool, RuntimeError> {
        const WHAT: &str = "status";
        match self.ask(WHAT, &Request::Status).await? {
            (
                Reply::Status {
                    console_attached, ..
                },
                _,
            ) => Ok(console_attached),
            _ => Err(RuntimeError::Unexpected { what: WHAT }),
        }
    }

    async fn console_log(&self, clear: bool) -> Result<Vec<u8>, RuntimeError> {
        const WHAT: &str = "console log";
        let (reply, fds) = self.ask(WHAT, &Request::ConsoleLog { clear }).await?;
        let (Reply::ConsoleLog { .. }, Some(file)) = (reply, fds.into_iter().next()) else {
            return Err(RuntimeError::Unexpected { what: WHAT });
        };
        let mut output = Vec::new();
        // A file in memory: reading it never waits.
        std::fs::File::from(file)
            .read_to_end(&mut output)
            .map_err(|source| RuntimeError::Talk { what: WHAT, source })?;
        Ok(output)
    }
}

/// What kept a command from running. That there is none of its name, or that it is no program, is the user's to hear;
/// any other error that execve(2) may give means the latter too.
fn exec_error(errno: i32, detail: String) -> RuntimeError {
    const CANNOT_EXECUTE: [i32; 6] = [1, 8, 13, 20, 21, 40];
    if errno == ENOENT {
        RuntimeError::CommandNotFound { detail }
    } else if CANNOT_EXECUTE.contains(&errno) {
        RuntimeError::CommandNotExecutable { detail }
    } else {
        RuntimeError::Refused {
            what: "exec",
            detail,
            errno,
        }
    }
}

#[derive(Debug)]
struct MonitorExec {
    channel: Channel,
    pid: i32,
    terminal: Option<OwnedFd>,
}

#[async_trait]
impl ExecSession for MonitorExec {
    fn pid(&self) -> i32 {
        self.pid
    }

    fn take_terminal(&mut self) -> Option<OwnedFd> {
        self.terminal.take()
    }

    async fn wait(&self) -> Result<i32, RuntimeError> {
        const WHAT: &str = "exec";
        loop {
            if let (Reply::ExecExited { status }, _) = self.channel.receive(WHAT).await? {
                return Ok(status);
            }
        }
    }

    async fn signal(&self, signal: i32) -> Result<(), RuntimeError> {
        let request = Request::ExecSignal { signal };
        self.channel.send("exec signal", &request, &[]).await
    }

    async fn resize(&self, size: TerminalSize) -> Result<(), RuntimeError> {
        let TerminalSize { width, height } = size;
        let request = Request::ExecResize { width, height };
        self.channel.send("exec resize", &request, &[]).await
    }
}
