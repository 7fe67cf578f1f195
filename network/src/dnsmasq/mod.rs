//! DHCPv4, DHCPv6, router advertisements and DNS on a bridge, by one dnsmasq each; see dnsmasq(8).
//!
//! dnsmasq puts itself in the background and outlives the daemon. It is found again by its pid file and its command line,
//! and restarted only if its configuration differs from what is wanted. Hosts come and go as files in directories that
//! it watches, so that an instance's name and address are known without a restart.
//!
//! Layout, for the network with bridge `br0`: `STATE/br0/{dnsmasq.conf,leases,dnsmasq.log,dhcp/,hosts/}`,
//! `RUN/dnsmasq-br0.{pid,leases}`. dnsmasq syncs its leases to the disk before it answers, so they are where that costs
//! nothing, and a copy is kept for the next boot.

mod config;
mod group;
mod host;
mod lease;
mod process;
mod release;
mod reverse;

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rlxc_sys::background::{self, Background};
use rlxc_sys::file::{self, Durability};
use rlxc_sys::tool::Tool;

use crate::error::blocking;
use crate::{BridgeSpec, Error, Mac};

pub use host::Host;
pub use lease::Lease;

/// Where dnsmasq's files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsmasqDirs {
    /// What outlives a boot: configuration, copies of leases, hosts.
    pub state: PathBuf,
    /// What does not: pid files, leases.
    pub run: PathBuf,
}

/// Starts, finds, feeds and stops the dnsmasq of each network; networks are named by their bridge.
#[derive(Debug, Clone)]
pub struct Dnsmasq {
    dirs: Arc<DnsmasqDirs>,
    group: Option<Arc<Path>>,
}

/// The files of one network.
#[derive(Debug, Clone)]
struct Files {
    dir: PathBuf,
    config: PathBuf,
    leases: PathBuf,
    /// A copy of them.
    saved: PathBuf,
    log: PathBuf,
    /// One file a host with its DHCP entry.
    dhcp: PathBuf,
    /// One file a host with its fixed names.
    hosts: PathBuf,
    pid: PathBuf,
}

impl Dnsmasq {
    /// `dirs` are created when first needed; users other than root must be able to pass them (mode 0711), or dnsmasq keeps root.
    pub fn new(dirs: DnsmasqDirs) -> Self {
        Self {
            dirs: Arc::new(dirs),
            group: None,
        }
    }

    /// The directory of the control group that processes which are started from now on go to, made when it is needed;
    /// without one they stay in the daemon's.
    #[must_use]
    pub fn in_group(self, group: Option<PathBuf>) -> Self {
        Self {
            group: group.map(Into::into),
            ..self
        }
    }

    /// Makes dnsmasq run with the configuration that the spec asks for. When this returns, it answers.
    ///
    /// The bridge must exist already. A spec without any address stops dnsmasq.
    pub async fn ensure(&self, spec: &BridgeSpec) -> Result<(), Error> {
        let (files, spec, group) = (self.files(&spec.name), spec.clone(), self.group.clone());
        blocking(move || {
            let started = ensure(&files, &spec)?;
            if let Some(group) = group.filter(|_| started) {
                group::enter(&group, &files);
            }
            Ok(())
        })
        .await
    }

    /// Stops the dnsmasq of a network and forgets its leases and hosts; fine if there is none.
    pub async fn stop(&self, network: &str) -> Result<(), Error> {
        let (this, network) = (self.clone(), network.to_owned());
        blocking(move || this.stop_now(&network)).await
    }

    /// [`Self::stop`] for where no runtime is.
    pub(crate) fn stop_now(&self, network: &str) -> Result<(), Error> {
        let files = self.files(network);
        process::stop(&files.pid, &files.config)?;
        if let Some(group) = &self.group {
            background::leave(group);
        }
        file::remove(&files.pid)?;
        file::remove(&files.leases)?;
        remove_tree(&files.dir)
    }

    /// Whether dnsmasq runs for a network.
    pub async fn is_running(&self, network: &str) -> Result<bool, Error> {
        let files = self.files(network);
        blocking(move || Ok(process::find(&files.pid, &files.config).is_some())).await
    }

    /// The process of a network, as a pidfd.
    pub async fn process(&self, network: &str) -> Result<Option<OwnedFd>, Error> {
        let files = self.files(network);
        blocking(move || {
            let found = process::find(&files.pid, &files.config);
            Ok(found.map(Background::into_pidfd))
        })
        .await
    }

    /// Gives a host its name and, where set, its fixed addresses. Names of fixed addresses resolve at once.
    pub async fn set_host(&self, network: &str, host: Host) -> Result<(), Error> {
        let files = self.files(network);
        blocking(move || host::set(&files, &host)).await
    }

    /// Forgets a host and gives back its lease, so that its name is gone too; fine if it is unknown.
    pub async fn remove_host(&self, network: &str, hwaddr: Mac) -> Result<(), Error> {
        let files = self.files(network);
        let leases = blocking(move || {
            let leases = lease::read(&files.leases)?;
            host::remove(&files, hwaddr)?;
            Ok(leases)
        })
        .await?;
        for lease in leases.iter().filter(|lease| lease.hwaddr == Some(hwaddr)) {
            release::send(network, lease).await;
        }
        Ok(())
    }

    /// The hosts that a network knows.
    pub async fn hosts(&self, network: &str) -> Result<Vec<Mac>, Error> {
        let files = self.files(network);
        blocking(move || host::list(&files)).await
    }

    /// Keeps the leases of a network for the next boot.
    pub async fn save(&self, network: &str) -> Result<(), Error> {
        let files = self.files(network);
        blocking(move || lease::copy(&files.leases, &files.saved)).await
    }

    /// The leases of a network.
    pub async fn leases(&self, network: &str) -> Result<Vec<Lease>, Error> {
        let files = self.files(network);
        blocking(move || lease::read(&files.leases)).await
    }

    fn files(&self, network: &str) -> Files {
        let dir = self.dirs.state.join(network);
        Files {
            config: dir.join("dnsmasq.conf"),
            leases: self.dirs.run.join(format!("dnsmasq-{network}.leases")),
            saved: dir.join("leases"),
            log: dir.join("dnsmasq.log"),
            dhcp: dir.join("dhcp"),
            hosts: dir.join("hosts"),
            dir,
            pid: self.dirs.run.join(format!("dnsmasq-{network}.pid")),
        }
    }
}

/// Whether a process was started.
fn ensure(files: &Files, spec: &BridgeSpec) -> Result<bool, Error> {
    if !spec.needs_dnsmasq() {
        return process::stop(&files.pid, &files.config).map(|()| false);
    }
    for dir in [&files.dir, &files.dhcp, &files.hosts] {
        file::ensure_dir(dir, 0o755)?;
    }
    if let Some(run) = files.pid.parent() {
        file::ensure_dir(run, 0o755)?;
    }
    let config = config::render(spec, files, &settings(files, spec)?);
    let is_same = file::read_text(&files.config).is_ok_and(|present| present == config);
    if is_same && process::find(&files.pid, &files.config).is_some() {
        return Ok(false);
    }
    process::stop(&files.pid, &files.config)?;
    if !files.leases.exists() {
        lease::copy(&files.saved, &files.leases)?;
    }
    file::write_atomic(
        &files.config,
        config.as_bytes(),
        0o644,
        Durability::Volatile,
    )?;
    // It returns once its child in the background has bound its sockets, or with the reason why not.
    Tool::new("dnsmasq")
        .args([config::file_argument(&files.config)])
        .run()
        .map(|_output| true)
        .map_err(|source| Error::Dnsmasq {
            network: spec.name.clone(),
            source,
        })
}

fn settings(files: &Files, spec: &BridgeSpec) -> Result<config::Settings, Error> {
    let user = if others_can_pass(&files.dir) {
        config::choose_user(&std::fs::read_to_string("/etc/passwd").unwrap_or_default())
    } else {
        tracing::warn!(dir = %files.dir.display(), "dnsmasq keeps running as root: no other user can reach its directory");
        "root".to_owned()
    };
    let index = rustix::net::socket(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::DGRAM,
        None,
    )
    .and_then(|socket| rustix::net::netdevice::name_to_index(&socket, &spec.name))
    .map_err(|_| Error::NoLink(spec.name.clone()))?;
    Ok(config::Settings { user, index })
}

/// Whether users other than root may go through all directories down to `dir`.
fn others_can_pass(dir: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    dir.ancestors()
        .all(|dir| std::fs::metadata(dir).is_ok_and(|metadata| metadata.mode() & 0o001 != 0))
}

fn remove_tree(dir: &Path) -> Result<(), Error> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(file::FileError::new("remove directory", dir, error).into())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
