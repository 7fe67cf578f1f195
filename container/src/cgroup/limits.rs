//! Limits, written to whichever hierarchy has the controller.

use std::path::{Path, PathBuf};

use super::layout::{Controller, Layout};
use super::{CgroupError, read, tree, write};
use crate::spec::Limits;

/// One limit as files of both versions; `None` as a value lifts it.
struct Setting {
    controller: Controller,
    unified: (&'static str, Option<String>),
    legacy: Vec<(&'static str, Option<String>)>,
    /// What the files hold when nothing is limited: unified, then legacy.
    unlimited: (&'static str, &'static str),
}

pub(super) fn apply(layout: &Layout, name: &Path, limits: &Limits) -> Result<(), CgroupError> {
    for setting in settings(limits) {
        let legacy = layout.legacy.get(&setting.controller);
        match legacy {
            Some(mount) => apply_legacy(&setting, mount, name)?,
            None => apply_unified(&setting, &layout.unified.join(name))?,
        }
    }
    Ok(())
}

fn apply_unified(setting: &Setting, group: &Path) -> Result<(), CgroupError> {
    let (file, value) = &setting.unified;
    let path = group.join(file);
    match value {
        Some(_) if !path.exists() => Err(CgroupError::NoController {
            controller: setting.controller.name(),
        }),
        Some(value) => write(&path, value),
        None => lift(&path, setting.unlimited.0),
    }
}

fn apply_legacy(setting: &Setting, mount: &Path, name: &Path) -> Result<(), CgroupError> {
    let group = mount.join(name);
    if setting.legacy.iter().any(|(_, value)| value.is_some()) {
        create_legacy(setting.controller, mount, name)?;
    } else if !group.is_dir() {
        return Ok(());
    }
    for (file, value) in &setting.legacy {
        let path = group.join(file);
        match value {
            Some(value) => write(&path, value)?,
            None => lift(&path, setting.unlimited.1)?,
        }
    }
    Ok(())
}

/// A file that is missing or as it should be costs no write.
fn lift(path: &Path, unlimited: &str) -> Result<(), CgroupError> {
    match read(path) {
        Ok(text) if text.trim() != unlimited && !unlimited.is_empty() => write(path, unlimited),
        _ => Ok(()),
    }
}

fn create_legacy(controller: Controller, mount: &Path, name: &Path) -> Result<(), CgroupError> {
    let mut path = PathBuf::from(mount);
    for part in name {
        let parent = path.clone();
        path.push(part);
        tree::create_directory(&path)?;
        // A new cpuset takes no process until it has processors and memory nodes.
        if controller == Controller::Cpuset {
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if read(&path.join(file))?.trim().is_empty() {
                    write(&path.join(file), read(&parent.join(file))?.trim())?;
                }
            }
        }
    }
    Ok(())
}

fn settings(limits: &Limits) -> Vec<Setting> {
    let number = |value: Option<u64>| value.map(|value| value.to_string());
    let simple = |controller, unified, legacy, value: Option<u64>, unlimited| Setting {
        controller,
        unified: (unified, number(value)),
        legacy: vec![(legacy, number(value))],
        unlimited,
    };
    vec![
        simple(
            Controller::Memory,
            "memory.max",
            "memory.limit_in_bytes",
            limits.memory,
            ("max", "-1"),
        ),
        simple(
            Controller::Memory,
            "memory.high",
            "memory.soft_limit_in_bytes",
            limits.memory_soft,
            ("max", "-1"),
        ),
        swap(limits),
        simple(
            Controller::Pids,
            "pids.max",
            "pids.max",
            limits.processes,
            ("max", "max"),
        ),
        cpu_time(limits),
        Setting {
            controller: Controller::Cpu,
            unified: ("cpu.weight", number(limits.cpu_weight)),
            // 100 of version 2 is 1,024 of version 1.
            legacy: vec![(
                "cpu.shares",
                number(limits.cpu_weight.map(|weight| (weight * 1024 / 100).max(2))),
            )],
            unlimited: ("100", "1024"),
        },
        Setting {
            controller: Controller::Cpuset,
            unified: ("cpuset.cpus", limits.cpus.clone()),
            legacy: vec![("cpuset.cpus", limits.cpus.clone())],
            // Lifted by the group's end: an empty list can't be written to a cpuset of version 1 that has processes.
            unlimited: ("", ""),
        },
    ]
}

/// Version 1 limits memory and swap together, and must never have less of both than of memory.
fn swap(limits: &Limits) -> Setting {
    let both = limits
        .swap
        .map(|swap| swap.saturating_add(limits.memory.unwrap_or(0)).to_string());
    Setting {
        controller: Controller::Memory,
        unified: ("memory.swap.max", limits.swap.map(|swap| swap.to_string())),
        legacy: both
            .map(|both| ("memory.memsw.limit_in_bytes", Some(both)))
            .into_iter()
            .collect(),
        unlimited: ("max", "-1"),
    }
}

fn cpu_time(limits: &Limits) -> Setting {
    let time = limits.cpu_time;
    Setting {
        controller: Controller::Cpu,
        unified: (
            "cpu.max",
            time.map(|time| format!("{} {}", time.quota_us, time.period_us)),
        ),
        legacy: match time {
            Some(time) => vec![
                ("cpu.cfs_period_us", Some(time.period_us.to_string())),
                ("cpu.cfs_quota_us", Some(time.quota_us.to_string())),
            ],
            None => vec![("cpu.cfs_quota_us", None)],
        },
        unlimited: ("max 100000", "-1"),
    }
}
