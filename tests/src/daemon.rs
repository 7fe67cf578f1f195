//! A real `rlxcd` on a directory and in a world of its own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::sys::signal::Signal;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::cli::Cli;
use crate::process::{Output, patient, signal};
use crate::world::{Uplink, World, only_child};

const START_DEADLINE: Duration = Duration::from_secs(20);

/// The daemon, its directory and its world. Dropped: it and all its containers end.
#[derive(Debug)]
pub struct Daemon {
    // Before the world: its cgroups can only be removed when their processes are gone, see Drop.
    process: Option<Started>,
    world: Option<World>,
    dir: PathBuf,
    keep: Option<TempDir>,
    environment: Vec<String>,
}

#[derive(Debug)]
struct Started {
    // `nsenter`, which waits for the daemon.
    parent: Child,
    pid: u32,
}

impl Daemon {
    /// A daemon that runs in an isolated world, with the default pool, bridge and profile.
    #[track_caller]
    pub fn initialized() -> Self {
        Self::initialized_with(Uplink::Isolated)
    }

    /// The same with another network.
    #[track_caller]
    pub fn initialized_with(uplink: Uplink) -> Self {
        let mut daemon = Self::prepared(uplink);
        daemon.start();
        daemon.cli().ok(["admin", "init", "--auto"]);
        daemon
    }

    /// A world and an empty directory; the daemon is not started.
    #[track_caller]
    pub fn prepared(uplink: Uplink) -> Self {
        let made = || -> anyhow::Result<Self> {
            let keep = tempfile::Builder::new()
                .prefix("rlxc-test.")
                .tempdir_in("/var/tmp")?;
            let dir = keep.path().join("rlxc");
            std::fs::create_dir(&dir)?;
            // Containers must be able to pass through.
            std::fs::set_permissions(
                keep.path(),
                std::os::unix::fs::PermissionsExt::from_mode(0o755),
            )?;
            Ok(Self {
                process: None,
                world: Some(World::new(uplink)?),
                dir,
                keep: Some(keep),
                environment: Vec::new(),
            })
        };
        match made() {
            Ok(daemon) => daemon,
            Err(error) => panic!("prepare a daemon: {error:?}"),
        }
    }

    /// Starts it and waits until it answers.
    #[track_caller]
    pub fn start(&mut self) {
        if let Err(error) = self.try_start() {
            panic!("start the daemon: {error:?}\n{}", self.log_tail());
        }
    }

    /// Sets a variable for daemons that are started from now on.
    pub fn set_env(&mut self, key: &str, value: &str) {
        self.environment.push(format!("{key}={value}"));
    }

    /// Starts it as the child of another program, whose command line it follows, and waits until it answers.
    #[track_caller]
    pub fn start_under(&mut self, manager: &[&str]) {
        let manager = manager.iter().map(|&word| word.to_owned());
        let line = manager.chain([Self::program()]).collect();
        if let Err(error) = self.start_line(line) {
            panic!("start the daemon: {error:?}\n{}", self.log_tail());
        }
    }

    /// Starts it and waits until it answers or ends.
    pub fn try_start(&mut self) -> anyhow::Result<()> {
        self.start_line(self.line())
    }

    fn start_line(&mut self, line: Vec<String>) -> anyhow::Result<()> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path())?;
        let mut parent = self
            .world()
            .enter(line)
            .command()
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("start rlxcd")?;
        let end = std::time::Instant::now() + patient(START_DEADLINE);
        // By the world's own mounts: the directory may be a file system that only exists there.
        let inside = self.dir.strip_prefix("/")?.join("unix.socket");
        let socket = PathBuf::from(format!("/proc/{}/root", self.world().init_pid())).join(inside);
        loop {
            if let Some(status) = parent.try_wait()? {
                bail!("rlxcd ended at once: {status}");
            }
            if std::os::unix::net::UnixStream::connect(&socket).is_ok() {
                break;
            }
            if std::time::Instant::now() > end {
                let _killed = parent.kill().is_ok();
                bail!("rlxcd does not answer");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let pid = only_child(parent.id())?;
        self.process = Some(Started { parent, pid });
        Ok(())
    }

    /// Runs another `rlxcd` on the same directory to its end.
    pub fn second(&self) -> anyhow::Result<Output> {
        self.world()
            .enter(self.line())
            .deadline(START_DEADLINE)
            .output()
    }

    fn program() -> String {
        crate::binaries().join("rlxcd").display().to_string()
    }

    fn line(&self) -> Vec<String> {
        let mut line = vec!["env".to_owned()];
        line.push(format!("RLXC_DIR={}", self.dir.display()));
        line.extend(self.environment.iter().cloned());
        line.push(Self::program());
        line
    }

    /// Kills it as a crash would: no chance to tidy up.
    #[track_caller]
    pub fn kill(&mut self) {
        self.end(Signal::SIGKILL);
    }

    /// Stops it as an administrator would; instances run on.
    #[track_caller]
    pub fn stop(&mut self) {
        self.end(Signal::SIGTERM);
    }

    #[track_caller]
    fn end(&mut self, how: Signal) {
        let Some(mut started) = self.process.take() else {
            panic!("the daemon does not run");
        };
        if let Err(error) = signal(started.pid, how) {
            panic!("end the daemon: {error:?}");
        }
        let end = std::time::Instant::now() + patient(START_DEADLINE);
        while started
            .parent
            .try_wait()
            .is_ok_and(|status| status.is_none())
        {
            assert!(
                std::time::Instant::now() < end,
                "the daemon does not end\n{}",
                self.log_tail()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Takes note that the test has killed it by itself.
    #[track_caller]
    pub fn forget_killed(&mut self) {
        if let Some(mut started) = self.process.take() {
            let ended = started.parent.wait();
            assert!(ended.is_ok(), "wait for the killed daemon: {ended:?}");
        }
    }

    /// The command line against this daemon.
    pub fn cli(&self) -> Cli<'_> {
        Cli::new(self)
    }

    /// The daemon's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The host's id of the daemon's process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(|started| started.pid)
    }

    /// The namespaces around it.
    pub fn world(&self) -> &World {
        match &self.world {
            Some(world) => world,
            None => unreachable!("the world lives as long as the daemon"),
        }
    }

    /// What names of this daemon's kernel objects begin with: `rlxc-` and a hash of its directory.
    pub fn prefix(&self) -> String {
        let digest = Sha256::digest(self.dir.as_os_str().as_encoded_bytes());
        format!("rlxc-{}", hex::encode(&digest[..4]))
    }

    /// The end of the daemon's log, for messages.
    pub fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(self.log_path()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    fn log_path(&self) -> PathBuf {
        self.dir.with_file_name("rlxcd.log")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            use std::io::Write as _;
            let log = format!("--- the daemon's log\n{}\n", self.log_tail());
            let _shown = std::io::stderr().write_all(log.as_bytes()).is_ok();
        }
        if let Some(started) = self.process.take() {
            let _ended = signal(started.pid, Signal::SIGKILL).is_ok();
        }
        drop(self.world.take());
        crate::leaks::remove_cgroups(&self.prefix());
        drop(self.keep.take());
    }
}
