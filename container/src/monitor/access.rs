//! Which devices the container's processes may open: those in its `/dev`, whatever nodes they find or make elsewhere.

use std::collections::BTreeSet;
use std::os::fd::AsFd;

use rlxc_sys::device_filter::{self, Rule};
use rustix::io::Errno;

use super::devices::{MINIMAL, identify};
use crate::cgroup::Cgroup;
use crate::confine::InPhase;
use crate::protocol::Failure;
use crate::spec::DeviceSpec;

const PHASE: &str = "devices";
/// Terminals: the console and those of its own devpts, see Documentation/admin-guide/devices.txt.
const TERMINALS: [Rule; 3] = [
    Rule::Character(5, Some(1)),
    Rule::Character(5, Some(2)),
    Rule::Character(136, None),
];

/// Who keeps a container from opening other devices than its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// A program of ours, whatever nodes there are.
    ByProgram,
    /// The nodes: there are no others that an unprivileged container could open.
    ByNodes,
}

/// Holds a container to its devices. A kernel that can't (`rlxc admin doctor` tells) leaves it to the nodes.
pub(super) fn restrict(cgroup: &Cgroup, devices: &[DeviceSpec]) -> Result<Kept, Failure> {
    let group = cgroup.open().in_phase(PHASE, String::new)?;
    match device_filter::attach(group.as_fd(), &rules(devices)?) {
        Err(error) if is_unsupported(&error) => Ok(Kept::ByNodes),
        result => result
            .map(|()| Kept::ByProgram)
            .in_phase(PHASE, || "restrict access to devices".into()),
    }
}

fn is_unsupported(error: &std::io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(
        errno,
        Some(Errno::PERM | Errno::NOSYS | Errno::INVAL | Errno::ACCESS)
    )
}

fn rules(devices: &[DeviceSpec]) -> Result<Vec<Rule>, Failure> {
    let minimal = MINIMAL
        .iter()
        .map(|(_, major, minor, _)| Rule::Character(*major, Some(*minor)));
    let mut rules: BTreeSet<Rule> = minimal.chain(TERMINALS).chain([Rule::MakeNodes]).collect();
    for device in devices {
        if let Some((kind, number)) = identify(device)? {
            let (major, minor) = (rustix::fs::major(number), rustix::fs::minor(number));
            rules.insert(if kind == rustix::fs::FileType::BlockDevice {
                Rule::Block(major, minor)
            } else {
                Rule::Character(major, Some(minor))
            });
        }
    }
    Ok(rules.into_iter().collect())
}
