//! Limits, written to whichever hierarchy has the controller. `docs/resources.md` has the table.

use std::io;
use std::path::Path;

use super::layout::{Controller, Layout};
use super::legacy::ensure_legacy;
use super::setting::{ABOVE, Setting, all};
use super::{CgroupError, disks, read, write};
use crate::spec::Limits;

/// Processors and memory nodes that the machine may ever have, as the kernel writes them.
const POSSIBLE: [&str; 2] = [
    "/sys/devices/system/cpu/possible",
    "/sys/devices/system/node/possible",
];

/// Sets what is set and lifts what is not; an error names the limit.
pub(super) fn apply(layout: &Layout, name: &Path, limits: &Limits) -> Result<(), CgroupError> {
    for setting in all(limits) {
        let written = match layout.legacy.get(&setting.controller) {
            Some(mount) => apply_legacy(&setting, mount, name),
            None => apply_unified(&setting, &layout.unified.join(name)),
        };
        written.map_err(|source| CgroupError::of(setting.what, source))?;
    }
    let processors = (limits.cpus.as_deref(), limits.nodes.as_deref());
    place(layout, name, processors).map_err(|source| CgroupError::of("limits.cpu", source))?;
    throttle(layout, name, limits).map_err(|source| CgroupError::of("limits.read/write", source))
}

fn apply_unified(setting: &Setting, group: &Path) -> Result<(), CgroupError> {
    for file in &setting.unified {
        let path = group.join(&file.name);
        match &file.value {
            Some(_) if !path.exists() && setting.optional => {}
            Some(_) if !path.exists() => return Err(missing(setting.controller)),
            Some(value) => write(&path, value)?,
            None => lift(&path, file.unlimited)?,
        }
    }
    Ok(())
}

fn apply_legacy(setting: &Setting, mount: &Path, name: &Path) -> Result<(), CgroupError> {
    let group = mount.join(name);
    if setting.legacy.iter().any(|file| file.value.is_some()) {
        ensure_legacy(mount, name)?;
    } else if !group.is_dir() {
        return Ok(());
    }
    for file in &setting.legacy {
        let path = group.join(&file.name);
        match &file.value {
            Some(_) if !path.exists() && setting.optional => {}
            Some(value) => write(&path, value)?,
            None => lift(&path, file.unlimited)?,
        }
    }
    Ok(())
}

fn missing(controller: Controller) -> CgroupError {
    CgroupError::NoController {
        controller: controller.name(),
    }
}

/// A file that is missing or as it should be costs no write.
fn lift(path: &Path, unlimited: &str) -> Result<(), CgroupError> {
    let above = || {
        let (name, group) = (path.file_name()?, path.parent()?);
        read(&group.parent()?.join(name)).ok()
    };
    let inherited = if unlimited == ABOVE { above() } else { None };
    let unlimited = inherited.as_deref().map_or(unlimited, str::trim);
    match read(path) {
        Ok(text) if text.trim() != unlimited && unlimited != ABOVE => write(path, unlimited),
        _ => Ok(()),
    }
}

/// Which processors, and memory of which nodes; all that the host has if not said.
pub(super) fn place(
    layout: &Layout,
    name: &Path,
    (cpus, nodes): (Option<&str>, Option<&str>),
) -> Result<(), CgroupError> {
    let wanted = [("cpuset.cpus", cpus), ("cpuset.mems", nodes)];
    let some = wanted.iter().any(|(_, value)| value.is_some());
    let Some(mount) = layout.legacy.get(&Controller::Cpuset) else {
        let group = layout.unified.join(name);
        if some && !group.join("cpuset.cpus").exists() {
            return Err(missing(Controller::Cpuset));
        }
        return place_unified(&group, wanted);
    };
    let group = mount.join(name);
    if some {
        ensure_legacy(mount, name)?;
    } else if !group.is_dir() {
        return Ok(());
    }
    let above = wanted.map(|(file, _)| read(&mount.join(file)).unwrap_or_default());
    let [cpus, nodes] = &above;
    let values = [
        (wanted[0].0, wanted[0].1.unwrap_or(cpus.trim())),
        (wanted[1].0, wanted[1].1.unwrap_or(nodes.trim())),
    ];
    set_differing(&group, values)
}

/// An empty line is "what those above have". Many kernels refuse it to a group with processes, whose processors are
/// then all that the machine can have, which comes to the same (`validate_change` in kernel/cgroup/cpuset.c).
fn place_unified(group: &Path, wanted: [(&str, Option<&str>); 2]) -> Result<(), CgroupError> {
    for ((file, value), possible) in wanted.into_iter().zip(POSSIBLE) {
        let given = set_differing(group, [(file, value.unwrap_or("\n"))]);
        match (given, value) {
            (Err(CgroupError::Write { source, .. }), None)
                if source.kind() == io::ErrorKind::StorageFull =>
            {
                set_differing(group, [(file, &read(Path::new(possible))?)])?;
            }
            (given, _) => given?,
        }
    }
    Ok(())
}

fn set_differing<const N: usize>(
    group: &Path,
    files: [(&str, &str); N],
) -> Result<(), CgroupError> {
    for (file, value) in files {
        let path = group.join(file);
        if read(&path).is_ok_and(|text| text.trim() != value.trim()) {
            write(&path, value)?;
        }
    }
    Ok(())
}

fn throttle(layout: &Layout, name: &Path, limits: &Limits) -> Result<(), CgroupError> {
    match layout.legacy.get(&Controller::Io) {
        None => disks::apply_unified(&layout.unified.join(name), &limits.disks),
        Some(mount) => {
            if !limits.disks.is_empty() {
                ensure_legacy(mount, name)?;
            }
            disks::apply_legacy(&mount.join(name), &limits.disks)
        }
    }
}
