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

use std::path::Path;

use rlxc_api::DoctorReport;

pub use feature::kernel_features;

use facts::Facts;

/// Examines the host for a daemon whose directory (`RLXC_DIR`) is `dir`: its file system is tried out. Blocks for some
/// tens of milliseconds: it also runs `nft` and `df`.
pub fn examine(dir: &Path) -> DoctorReport {
    judge(&probe::collect(dir))
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
