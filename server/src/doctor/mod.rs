//! Looks at the host: what is missing or in the way, what that costs, how to mend it (`rlxc admin doctor`).
//!
//! `probe` collects [`facts`], thin and without an opinion; the other modules judge them, pure. The daemon's start and
//! `GET /1.0` use two small parts alone: [`subid`] and [`kernel_features`].

mod cgroup;
mod disk;
pub mod facts;
mod feature;
mod finding;
mod firewall;
mod ids;
mod kernel;
mod limits;
mod probe;
pub mod subid;
mod tools;
mod trial;

use std::path::{Path, PathBuf};

use rlxc_api::DoctorReport;

pub use feature::kernel_features;

use facts::Facts;

/// Where to look.
#[derive(Debug, Clone)]
pub struct HostPaths {
    /// `RLXC_DIR`: whose file system is tried out.
    pub dir: PathBuf,
    /// Where `subuid` and `subgid` are: `/etc`.
    pub etc: PathBuf,
}

impl HostPaths {
    /// A usual host.
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            etc: "/etc".into(),
        }
    }
}

/// Examines the host. Blocks for some tens of milliseconds: it tries things out and runs `nft` and `df`.
pub fn examine(host: &HostPaths) -> DoctorReport {
    judge(&probe::collect(host))
}

/// Judges facts; the worst findings come first, otherwise they keep their order.
pub fn judge(facts: &Facts) -> DoctorReport {
    let judges = [
        kernel::judge,
        cgroup::judge,
        ids::judge,
        tools::judge,
        firewall::judge,
        limits::judge,
        disk::judge,
    ];
    let mut findings: Vec<_> = judges.into_iter().flat_map(|judge| judge(facts)).collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    DoctorReport { findings }
}

#[cfg(test)]
mod tests;
