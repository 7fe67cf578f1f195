//! The real runtime: spawns monitors and finds them again.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use rlxc_container::cgroup::Cgroup;
use rlxc_container::exit::ExitRecord;
use rlxc_container::protocol::{Reply, Request};
use rlxc_container::proxy::ProxySpec;
use rlxc_container::spec::{ContainerSpec, Limits};
use rlxc_sys::packet;

use super::binary::MonitorBinary;
use super::channel::Channel;
use super::proxy;
use super::running::MonitorRunning;
use super::{Attached, Placement, Prepared, Running, Runtime, RuntimeError};

/// Containers by way of `rlxc-monitor`.
#[derive(Debug)]
pub struct MonitorRuntime {
    binary: Arc<MonitorBinary>,
}

impl MonitorRuntime {
    /// Finds the monitor's program and keeps it open.
    pub fn open() -> Result<Self, RuntimeError> {
        let binary = Arc::new(MonitorBinary::open()?);
        Ok(Self { binary })
    }
}

#[async_trait]
impl Runtime for MonitorRuntime {
    async fn prepare(&self, spec: ContainerSpec) -> Result<Box<dyn Prepared>, RuntimeError> {
        const WHAT: &str = "start";
        let talk = |source| RuntimeError::Talk { what: WHAT, source };
        let (ours, theirs) = packet::pair().map_err(talk)?;
        let channel = Channel::new(ours).map_err(talk)?;
        let title = format!("[rlxc monitor] {}", spec.name);
        let runtime_dir = spec.runtime_dir.clone();
        // The order waits in the socket until the program reads it.
        let start = Request::Start {
            spec: Box::new(spec),
        };
        channel.send(WHAT, &start, &[]).await?;
        let binary = Arc::clone(&self.binary);
        crate::context::blocking(move || binary.launch(&title, theirs)).await?;
        match channel.receive(WHAT).await? {
            (Reply::Cloned { pid }, fds) => {
                let mut fds = fds.into_iter();
                // The user namespace comes third; the daemon has no use for it yet.
                let (Some(pidfd), Some(netns)) = (fds.next(), fds.next()) else {
                    return Err(RuntimeError::Unexpected { what: WHAT });
                };
                Ok(Box::new(MonitorPrepared {
                    channel,
                    runtime_dir,
                    init_pid: pid,
                    pidfd,
                    netns,
                }))
            }
            (Reply::Failed(failure), _) => Err(RuntimeError::Start(failure)),
            _ => Err(RuntimeError::Unexpected { what: WHAT }),
        }
    }

    async fn attach(&self, runtime_dir: &Path) -> Result<Attached, RuntimeError> {
        const WHAT: &str = "attach";
        // A socket file without a listener is what a killed monitor leaves.
        if let Ok(channel) = Channel::connect(runtime_dir) {
            match MonitorRunning::greet(channel, runtime_dir.to_owned()).await {
                Ok(running) => return Ok(Attached::Running(running)),
                // It ended just now: the record tells.
                Err(RuntimeError::HungUp { .. } | RuntimeError::Talk { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let record = ExitRecord::read(runtime_dir)
            .map_err(|source| RuntimeError::Talk { what: WHAT, source })?;
        Ok(record.map_or(Attached::Absent, Attached::Exited))
    }

    async fn limit(&self, cgroup: Cgroup, limits: Limits) -> Result<(), RuntimeError> {
        let limited = crate::context::blocking(move || cgroup.apply(&limits)).await;
        limited.map_err(RuntimeError::Limit)
    }

    async fn place(&self, cgroup: Cgroup, place: Placement) -> Result<(), RuntimeError> {
        let Placement { cpus, nodes } = place;
        let placed =
            crate::context::blocking(move || cgroup.place(cpus.as_deref(), nodes.as_deref())).await;
        placed.map_err(RuntimeError::Limit)
    }

    fn cpus(&self, cgroup: &Cgroup) -> Option<String> {
        cgroup.cpus()
    }

    async fn start_proxy(
        &self,
        spec: ProxySpec,
        instance: BorrowedFd<'_>,
    ) -> Result<(), RuntimeError> {
        proxy::start(Arc::clone(&self.binary), spec, instance).await
    }

    fn is_proxy_running(&self, lock: &Path) -> bool {
        proxy::holder(lock).is_some()
    }

    async fn stop_proxy(&self, lock: &Path) -> Result<(), RuntimeError> {
        let lock = lock.to_owned();
        crate::context::blocking(move || proxy::stop(&lock)).await
    }
}

/// A clone that waits. The monitor kills it when the channel closes.
#[derive(Debug)]
struct MonitorPrepared {
    channel: Channel,
    runtime_dir: PathBuf,
    init_pid: i32,
    pidfd: OwnedFd,
    netns: OwnedFd,
}

#[async_trait]
impl Prepared for MonitorPrepared {
    fn netns(&self) -> BorrowedFd<'_> {
        self.netns.as_fd()
    }

    fn init_pid(&self) -> i32 {
        self.init_pid
    }

    async fn release(self: Box<Self>) -> Result<Arc<dyn Running>, RuntimeError> {
        const WHAT: &str = "release";
        let (reply, _fds) = self.channel.ask(WHAT, &Request::Continue, &[]).await?;
        match reply {
            Reply::Running { .. } => {}
            Reply::Failed(failure) => return Err(RuntimeError::Start(failure)),
            _ => return Err(RuntimeError::Unexpected { what: WHAT }),
        }
        match Channel::connect(&self.runtime_dir) {
            Ok(channel) => match MonitorRunning::greet(channel, self.runtime_dir.clone()).await {
                // An init that ends at once: it ran, and is over.
                Err(RuntimeError::HungUp { .. } | RuntimeError::Talk { .. }) => {}
                result => return result,
            },
            Err(_gone) => {}
        }
        Ok(MonitorRunning::ended(
            self.runtime_dir,
            self.init_pid,
            self.pidfd,
            self.netns,
        ))
    }
}
