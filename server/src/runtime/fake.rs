//! A scripted runtime: containers that are nothing but a state, for tests of all that is above the seam.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rlxc_container::cgroup::Cgroup;
use rlxc_container::protocol::Failure;
use rlxc_container::proxy::ProxySpec;
use rlxc_container::spec::{ContainerSpec, DeviceSpec, Limits, MountInterception, MountSpec};
use tokio::sync::watch;

use super::{
    Attached, ExecRequest, ExecSession, ExitCause, Netns, Placement, Prepared, Running, Runtime,
    RuntimeError, TerminalSize,
};

/// What the next containers do.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// `prepare` fails with this.
    pub fail_prepare: Option<Failure>,
    /// `release` fails with this.
    pub fail_release: Option<Failure>,
    /// Init takes no notice of a shutdown.
    pub ignore_shutdown: bool,
    /// What each command ends with.
    pub exec_status: i32,
}

#[derive(Debug, Default)]
struct Shared {
    script: Script,
    running: HashMap<PathBuf, Arc<FakeRunning>>,
    specs: Vec<ContainerSpec>,
    proxies: BTreeSet<PathBuf>,
    limits: BTreeMap<PathBuf, Limits>,
}

/// The runtime.
#[derive(Debug, Clone, Default)]
pub struct FakeRuntime(Arc<Mutex<Shared>>);

impl FakeRuntime {
    /// One whose containers start and stop as they should.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says what happens from now on.
    pub fn set_script(&self, script: Script) {
        self.with(|shared| shared.script = script);
    }

    /// All orders so far.
    pub fn specs(&self) -> Vec<ContainerSpec> {
        self.with(|shared| shared.specs.clone())
    }

    /// The proxies that run, by their locks.
    pub fn proxies(&self) -> BTreeSet<PathBuf> {
        self.with(|shared| shared.proxies.clone())
    }

    /// The limits of all control groups that have been given some.
    pub fn limits(&self) -> BTreeMap<PathBuf, Limits> {
        self.with(|shared| shared.limits.clone())
    }

    /// Ends the container of a runtime directory from inside; false if there is none.
    pub fn end(&self, runtime_dir: &Path, cause: ExitCause) -> bool {
        self.with(|shared| match shared.running.get(runtime_dir) {
            Some(running) => {
                running.finish(cause);
                true
            }
            None => false,
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut Shared) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Runtime for FakeRuntime {
    async fn prepare(&self, spec: ContainerSpec) -> Result<Box<dyn Prepared>, RuntimeError> {
        let directory = spec.runtime_dir.clone();
        let script = self.with(|shared| {
            shared.specs.push(spec);
            shared.script.clone()
        });
        if let Some(failure) = script.fail_prepare.clone() {
            return Err(RuntimeError::Start(failure));
        }
        let null = || {
            File::open("/dev/null")
                .map(OwnedFd::from)
                .map_err(|source| RuntimeError::Talk {
                    what: "fake",
                    source,
                })
        };
        let (end, _) = watch::channel(None);
        let running = Arc::new(FakeRunning {
            script,
            pidfd: null()?,
            netns: null()?.into(),
            end,
        });
        Ok(Box::new(FakePrepared {
            runtime: self.clone(),
            directory,
            running,
        }))
    }

    async fn attach(&self, runtime_dir: &Path) -> Result<Attached, RuntimeError> {
        let found = self.with(|shared| shared.running.get(runtime_dir).cloned());
        Ok(match found {
            Some(running) if running.end.borrow().is_none() => Attached::Running(running),
            _ => Attached::Absent,
        })
    }

    async fn limit(&self, cgroup: Cgroup, limits: Limits) -> Result<(), RuntimeError> {
        self.with(|shared| {
            if limits == Limits::default() {
                shared.limits.remove(&cgroup.path());
            } else {
                shared.limits.insert(cgroup.path(), limits);
            }
        });
        Ok(())
    }

    async fn place(&self, cgroup: Cgroup, place: Placement) -> Result<(), RuntimeError> {
        self.with(|shared| {
            let limits = shared.limits.entry(cgroup.path()).or_default();
            (limits.cpus, limits.nodes) = (place.cpus, place.nodes);
        });
        Ok(())
    }

    fn cpus(&self, cgroup: &Cgroup) -> Option<String> {
        self.with(|shared| shared.limits.get(&cgroup.path())?.cpus.clone())
    }

    async fn start_proxy(
        &self,
        spec: ProxySpec,
        _instance: BorrowedFd<'_>,
    ) -> Result<(), RuntimeError> {
        self.with(|shared| shared.proxies.insert(spec.lock));
        Ok(())
    }

    fn is_proxy_running(&self, lock: &Path) -> bool {
        self.with(|shared| shared.proxies.contains(lock))
    }

    async fn stop_proxy(&self, lock: &Path) -> Result<(), RuntimeError> {
        self.with(|shared| shared.proxies.remove(lock));
        Ok(())
    }
}

#[derive(Debug)]
struct FakePrepared {
    runtime: FakeRuntime,
    directory: PathBuf,
    running: Arc<FakeRunning>,
}

#[async_trait]
impl Prepared for FakePrepared {
    fn netns(&self) -> BorrowedFd<'_> {
        self.running.netns.as_fd()
    }

    fn init_pid(&self) -> i32 {
        i32::MAX
    }

    async fn release(self: Box<Self>) -> Result<Arc<dyn Running>, RuntimeError> {
        if let Some(failure) = self.running.script.fail_release.clone() {
            return Err(RuntimeError::Start(failure));
        }
        let Self {
            runtime,
            directory,
            running,
        } = *self;
        runtime.with(|shared| shared.running.insert(directory, Arc::clone(&running)));
        Ok(running)
    }
}

#[derive(Debug)]
struct FakeRunning {
    script: Script,
    pidfd: OwnedFd,
    netns: Netns,
    end: watch::Sender<Option<ExitCause>>,
}

impl FakeRunning {
    fn finish(&self, cause: ExitCause) {
        self.end.send_replace(Some(cause));
    }
}

#[async_trait]
impl Running for FakeRunning {
    fn init_pid(&self) -> i32 {
        i32::MAX
    }

    fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    fn netns(&self) -> &Netns {
        &self.netns
    }

    async fn exited(&self) -> ExitCause {
        let mut end = self.end.subscribe();
        let cause = end.wait_for(Option::is_some).await;
        cause
            .ok()
            .and_then(|cause| *cause)
            .unwrap_or(ExitCause::Halt)
    }

    async fn signal(&self, _signal: i32) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn shutdown(&self) -> Result<(), RuntimeError> {
        if !self.script.ignore_shutdown {
            self.finish(ExitCause::Halt);
        }
        Ok(())
    }

    async fn kill(&self) -> Result<(), RuntimeError> {
        self.finish(ExitCause::Signal { signal: 9 });
        Ok(())
    }

    async fn exec(
        &self,
        request: ExecRequest,
        _stdio: Vec<OwnedFd>,
    ) -> Result<Box<dyn ExecSession>, RuntimeError> {
        if request.argv.first().is_none_or(String::is_empty) {
            return Err(RuntimeError::CommandNotFound {
                detail: "no command given".to_owned(),
            });
        }
        Ok(Box::new(FakeExec {
            status: self.script.exec_status,
        }))
    }

    async fn mount(&self, _mount: MountSpec) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn set_devices(
        &self,
        _device: &str,
        _nodes: Vec<DeviceSpec>,
    ) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn set_rlimits(&self, _rlimits: Vec<(String, u64, u64)>) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn set_mounts(&self, _mounts: MountInterception) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn unmount(&self, _target: &Path) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn console(&self) -> Result<OwnedFd, RuntimeError> {
        let (ours, _theirs) =
            std::os::unix::net::UnixStream::pair().map_err(|source| RuntimeError::Talk {
                what: "console",
                source,
            })?;
        Ok(ours.into())
    }

    async fn console_resize(&self, _size: TerminalSize) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn console_attached(&self) -> Result<bool, RuntimeError> {
        Ok(false)
    }

    async fn console_log(&self, _clear: bool) -> Result<Vec<u8>, RuntimeError> {
        Ok(b"booted\n".to_vec())
    }
}

#[derive(Debug)]
struct FakeExec {
    status: i32,
}

#[async_trait]
impl ExecSession for FakeExec {
    fn pid(&self) -> i32 {
        i32::MAX
    }

    fn take_terminal(&mut self) -> Option<OwnedFd> {
        None
    }

    async fn wait(&self) -> Result<i32, RuntimeError> {
        Ok(self.status)
    }

    async fn signal(&self, _signal: i32) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn resize(&self, _size: TerminalSize) -> Result<(), RuntimeError> {
        Ok(())
    }
}
