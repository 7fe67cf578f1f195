//! Where the hierarchies of this host are mounted.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::CgroupError;

/// Controllers that limits and figures need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Controller {
    /// Memory.
    Memory,
    /// Processes.
    Pids,
    /// Processor time and shares.
    Cpu,
    /// Which processors.
    Cpuset,
    /// Block devices.
    Io,
    /// Huge pages.
    Hugetlb,
}

impl Controller {
    pub(super) const ALL: [Self; 6] = [
        Self::Memory,
        Self::Pids,
        Self::Cpu,
        Self::Cpuset,
        Self::Io,
        Self::Hugetlb,
    ];

    /// As version 2 names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Cpu => "cpu",
            Self::Cpuset => "cpuset",
            Self::Io => "io",
            Self::Hugetlb => "hugetlb",
        }
    }

    /// As version 1 names it.
    fn legacy_name(self) -> &'static str {
        match self {
            Self::Io => "blkio",
            other => other.name(),
        }
    }
}

/// The mounts of the host's cgroup hierarchies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The cgroup2 mount; it may have no controllers.
    pub unified: PathBuf,
    /// Where each controller is that is bound to version 1.
    pub legacy: BTreeMap<Controller, PathBuf>,
    /// All hierarchies of version 1, also those without a controller that limits need.
    pub hierarchies: Vec<PathBuf>,
}

impl Layout {
    /// Reads `/proc/self/mountinfo`.
    pub fn detect() -> Result<Self, CgroupError> {
        let text = std::fs::read_to_string("/proc/self/mountinfo").map_err(CgroupError::Detect)?;
        Self::parse(&text).ok_or(CgroupError::NoUnified)
    }

    /// From the text of a mountinfo file, see proc_pid_mountinfo(5). `None` if there is no cgroup2 mount.
    pub fn parse(mountinfo: &str) -> Option<Self> {
        let mut unified = None;
        let mut legacy = BTreeMap::new();
        let mut hierarchies = BTreeMap::new();
        for line in mountinfo.lines() {
            let Some((mount, filesystem)) = line.split_once(" - ") else {
                continue;
            };
            let mut fields = mount.split(' ').skip(2);
            let (Some(device), Some(path)) = (fields.next(), fields.nth(1).map(PathBuf::from))
            else {
                continue;
            };
            let mut fields = filesystem.split(' ');
            match (fields.next(), fields.nth(1)) {
                (Some("cgroup2"), _) => unified = unified.or(Some(path)),
                (Some("cgroup"), Some(options)) => {
                    hierarchies.entry(device).or_insert_with(|| path.clone());
                    for controller in Controller::ALL {
                        if options
                            .split(',')
                            .any(|option| option == controller.legacy_name())
                        {
                            legacy.entry(controller).or_insert_with(|| path.clone());
                        }
                    }
                }
                _ => {}
            }
        }
        Some(Self {
            unified: unified?,
            legacy,
            hierarchies: hierarchies.into_values().collect(),
        })
    }
}
