//! `limits.*` of an instance as what its control group and its init are given. Pure.
//!
//! What this host can't hold an instance to is refused; what is a matter of taste (priorities) is told of, and the
//! instance runs without.

use std::collections::BTreeMap;

use rlxc_api::size::ByteSize;
use rlxc_container::cgroup::Controller;
use rlxc_container::spec::{CpuTime, DiskLimit, Limits};

use super::host::HostFacts;
use super::numbers;
use super::pinning::{Cpus, Nodes, Pins};
use crate::keys::parse_bool;
use crate::model::Config;

const UNLIMITED: u64 = u64::MAX;
/// What `cpu.weight` of a control group is unless said, see cgroups(7).
const NORMAL_WEIGHT: u64 = 100;
/// What `limits.cpu.priority` and `limits.memory.swap.priority` are unless said.
const HIGHEST_PRIORITY: u64 = 10;
/// The swappiness of that priority.
const NORMAL_SWAPPINESS: u64 = 60;
/// Parts of the usual share of disks that a step of `limits.disk.priority` is: 5 of 10 is usual.
const DISK_STEP: u64 = 20;

/// A resource limit of processes: its name as in setrlimit(2), soft, hard.
pub type Rlimit = (String, u64, u64);

/// Limits, decided; the processors are chosen among all instances.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitPlan {
    /// For its control group.
    pub limits: Limits,
    /// For its init.
    pub rlimits: Vec<Rlimit>,
    /// Processors that it asks for.
    pub pins: Pins,
    /// What is asked for and can't be had, and why.
    pub unmet: Vec<String>,
}

/// Decides. An error names the key.
pub fn plan_limits(
    config: &Config,
    disks: Vec<DiskLimit>,
    host: &HostFacts,
) -> Result<LimitPlan, String> {
    let mut plan = LimitPlan {
        rlimits: plan_rlimits(config)?,
        ..LimitPlan::default()
    };
    plan.limits.processes = number(config, "limits.processes")?;
    plan.limits.disks = disks;
    memory(config, host, &mut plan)?;
    swap(config, host, &mut plan)?;
    plan.pins = pins(config, host, &mut plan.unmet)?;
    cpu_share(config, host, &mut plan)?;
    huge_pages(config, host, &mut plan)?;
    if let Some(priority) = number(config, "limits.disk.priority")? {
        plan.limits.io_weight = Some((priority * DISK_STEP).max(1));
        if !host.support.io_weight {
            plan.unmet.push("`limits.disk.priority`: no disk of this host has a scheduler that knows shares (bfq, or the cost model of io.cost.qos)".to_owned());
        }
    }
    check_controllers(&plan, host)?;
    Ok(plan)
}

/// A limit that nothing here can hold is none.
fn check_controllers(plan: &LimitPlan, host: &HostFacts) -> Result<(), String> {
    let limits = &plan.limits;
    let needed = [
        (
            "limits.memory",
            limits.memory.is_some() || limits.memory_soft.is_some(),
            Controller::Memory,
        ),
        (
            "limits.processes",
            limits.processes.is_some(),
            Controller::Pids,
        ),
        (
            "limits.cpu.allowance",
            limits.cpu_time.is_some() || limits.cpu_weight.is_some(),
            Controller::Cpu,
        ),
        (
            "limits.cpu",
            plan.pins != Pins::default(),
            Controller::Cpuset,
        ),
        (
            "limits.hugepages",
            !limits.hugepages.is_empty(),
            Controller::Hugetlb,
        ),
        ("limits of disks", !limits.disks.is_empty(), Controller::Io),
    ];
    let missing = needed
        .iter()
        .find(|(_, is_set, controller)| *is_set && !host.support.controllers.contains(controller));
    missing.map_or(Ok(()), |(key, _, controller)| {
        Err(format!(
            "`{key}`: the control groups of this host have no controller `{}`, see `rlxc admin doctor`",
            controller.name()
        ))
    })
}

fn memory(config: &Config, host: &HostFacts, plan: &mut LimitPlan) -> Result<(), String> {
    let Some(text) = config.get("limits.memory") else {
        return Ok(());
    };
    let bytes = parse_memory(text, host.memory)
        .ok_or_else(|| format!("`limits.memory={text}` is not a size such as 512MiB or 50%"))?;
    match config.get("limits.memory.enforce").map(String::as_str) {
        Some("soft") => plan.limits.memory_soft = Some(bytes),
        _ => plan.limits.memory = Some(bytes),
    }
    Ok(())
}

/// A size, or a part of the host's memory.
pub fn parse_memory(text: &str, total: u64) -> Option<u64> {
    match text.strip_suffix('%') {
        Some(percent) => {
            let part = u128::from(total) * u128::from(percent.trim().parse::<u64>().ok()?) / 100;
            u64::try_from(part).ok()
        }
        None => text.parse::<ByteSize>().ok().map(ByteSize::bytes),
    }
}

fn swap(config: &Config, host: &HostFacts, plan: &mut LimitPlan) -> Result<(), String> {
    let on_legacy = host.support.legacy.contains(&Controller::Memory);
    if let Some(text) = config.get("limits.memory.swap") {
        match parse_bool(text) {
            Some(true) => {}
            Some(false) => plan.limits.swap = Some(0),
            None => {
                let size: ByteSize = text.parse().map_err(|_bad| {
                    format!("`limits.memory.swap={text}` is neither true, false nor a size such as 512MiB")
                })?;
                if !host.support.swap {
                    return Err(format!(
                        "`limits.memory.swap={text}`: this host can't limit swap, see `rlxc admin doctor`"
                    ));
                }
                if on_legacy && plan.limits.memory.is_none() {
                    return Err(format!(
                        "`limits.memory.swap={text}` needs `limits.memory`, enforced hard, on this host: control groups of version 1 limit both together"
                    ));
                }
                plan.limits.swap = Some(size.bytes());
            }
        }
    }
    if let Some(priority) = number(config, "limits.memory.swap.priority")? {
        if on_legacy {
            let less = HIGHEST_PRIORITY.saturating_sub(priority);
            plan.limits.swappiness = Some(NORMAL_SWAPPINESS - less);
        } else {
            plan.unmet.push(
                "`limits.memory.swap.priority`: control groups of version 2 have no such thing"
                    .to_owned(),
            );
        }
    }
    Ok(())
}

fn pins(config: &Config, host: &HostFacts, unmet: &mut Vec<String>) -> Result<Pins, String> {
    let mut pins = Pins::default();
    if let Some(text) = config.get("limits.cpu") {
        pins.cpus = Some(cpus(text, host, unmet)?);
    }
    if let Some(text) = config.get("limits.cpu.nodes") {
        pins.nodes = Some(nodes(text, host)?);
    }
    if let (Some(Cpus::Set(cpus)), Some(Nodes::Set(nodes))) = (&pins.cpus, &pins.nodes) {
        let of_nodes = |cpu| nodes.iter().any(|node| host.nodes[node].contains(cpu));
        if !cpus.iter().all(of_nodes) {
            return Err(
                "`limits.cpu` names processors that are not on the nodes of `limits.cpu.nodes`"
                    .to_owned(),
            );
        }
    }
    Ok(pins)
}

fn cpus(text: &str, host: &HostFacts, unmet: &mut Vec<String>) -> Result<Cpus, String> {
    let lacks = || {
        format!(
            "`limits.cpu={text}`: this host has {}",
            host.processors_text()
        )
    };
    if let Ok(count) = text.parse::<u32>() {
        return match count {
            0 => Err("`limits.cpu=0` would leave no processor".to_owned()),
            count => {
                if usize::try_from(count).unwrap_or(usize::MAX) > host.cpus.len() {
                    unmet.push(lacks());
                }
                Ok(Cpus::Count(count))
            }
        };
    }
    let set = numbers::parse(text).ok_or_else(|| {
        format!("`limits.cpu={text}` is neither a number nor a set such as 0-3,5")
    })?;
    if set.is_disjoint(&host.cpus) {
        return Err(lacks());
    }
    if !set.is_subset(&host.cpus) {
        unmet.push(lacks());
    }
    Ok(Cpus::Set(set))
}

fn nodes(text: &str, host: &HostFacts) -> Result<Nodes, String> {
    if text == "balanced" {
        return Ok(Nodes::Balanced);
    }
    let set = numbers::parse(text).ok_or_else(|| {
        format!("`limits.cpu.nodes={text}` is neither `balanced` nor a set such as 0-1")
    })?;
    if let Some(node) = set.iter().find(|node| !host.nodes.contains_key(node)) {
        let known = numbers::format(&host.nodes.keys().copied().collect());
        return Err(format!(
            "`limits.cpu.nodes={text}`: this host has no NUMA node {node}, but {known}"
        ));
    }
    Ok(Nodes::Set(set))
}

fn cpu_share(config: &Config, host: &HostFacts, plan: &mut LimitPlan) -> Result<(), String> {
    if let Some(text) = config.get("limits.cpu.allowance") {
        allowance(text, &mut plan.limits)?;
    }
    let Some(priority) = number(config, "limits.cpu.priority")? else {
        return Ok(());
    };
    if !host.support.controllers.contains(&Controller::Cpu) {
        plan.unmet.push(
            "`limits.cpu.priority`: the control groups of this host have no controller `cpu`"
                .to_owned(),
        );
        return Ok(());
    }
    // As with LXD: a little less than those of the same allowance.
    let weight = plan.limits.cpu_weight.unwrap_or(NORMAL_WEIGHT);
    let less = HIGHEST_PRIORITY.saturating_sub(priority);
    plan.limits.cpu_weight = Some(weight.saturating_sub(less).max(1));
    Ok(())
}

/// A share for when there is contention, or time in each period.
fn allowance(text: &str, limits: &mut Limits) -> Result<(), String> {
    let bad = || {
        format!(
            "`limits.cpu.allowance={text}` is neither a share such as 50% nor a time such as 25ms/100ms"
        )
    };
    if let Some(percent) = text.strip_suffix('%') {
        let percent: u64 = percent.parse().map_err(|_bad| bad())?;
        limits.cpu_weight = Some(percent.clamp(1, 10_000));
        return Ok(());
    }
    let (quota, period) = text.split_once('/').ok_or_else(bad)?;
    let micros = |text: &str| {
        let number = text
            .strip_suffix("ms")
            .and_then(|ms| ms.parse::<u64>().ok());
        number.map(|ms| ms.saturating_mul(1000)).ok_or_else(bad)
    };
    limits.cpu_time = Some(CpuTime {
        quota_us: micros(quota)?,
        period_us: micros(period)?,
    });
    Ok(())
}

fn huge_pages(config: &Config, host: &HostFacts, plan: &mut LimitPlan) -> Result<(), String> {
    let mut bytes = BTreeMap::new();
    for (size, text) in prefixed(config, "limits.hugepages.") {
        let parsed: ByteSize = text.parse().map_err(|_bad| {
            format!("`limits.hugepages.{size}={text}` is not a size such as 64MiB")
        })?;
        if !host.support.huge_pages.contains(&size) {
            let known: Vec<&str> = host.support.huge_pages.iter().map(String::as_str).collect();
            let known = if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            };
            return Err(format!(
                "`limits.hugepages.{size}`: this host has no huge pages of that size, but {known}"
            ));
        }
        bytes.insert(size, parsed.bytes());
    }
    plan.limits.hugepages = bytes;
    Ok(())
}

fn plan_rlimits(config: &Config) -> Result<Vec<Rlimit>, String> {
    prefixed(config, "limits.kernel.")
        .into_iter()
        .map(|(name, value)| {
            let (soft, hard) = value.split_once(':').unwrap_or((&value, &value));
            let number = |text: &str| match text {
                "unlimited" => Ok(UNLIMITED),
                text => text.parse().map_err(|_bad| {
                    format!(
                        "`limits.kernel.{name}={value}` is not a number, SOFT:HARD or unlimited"
                    )
                }),
            };
            Ok((name.clone(), number(soft)?, number(hard)?))
        })
        .collect()
}

/// The keys that begin so, without the prefix.
pub(super) fn prefixed(config: &Config, prefix: &str) -> Vec<(String, String)> {
    let matching = config
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(prefix)?, value)));
    matching
        .map(|(key, value)| (key.to_owned(), value.clone()))
        .collect()
}

fn number(config: &Config, key: &str) -> Result<Option<u64>, String> {
    config
        .get(key)
        .map(|text| {
            text.parse()
                .map_err(|_bad| format!("`{key}={text}` is not a whole number"))
        })
        .transpose()
}

/// Refuses what a user asks for now and this host does not have. What came from elsewhere gets as much as there is.
pub fn check_host(before: &Config, after: &Config, host: &HostFacts) -> Result<(), String> {
    let is_new = |key: &str| after.get(key) != before.get(key);
    if !after
        .keys()
        .any(|key| key.starts_with("limits.") && is_new(key))
    {
        return Ok(());
    }
    if let Some(text) = after
        .get("limits.memory")
        .filter(|_| is_new("limits.memory"))
        && parse_memory(text, host.memory).is_some_and(|bytes| bytes > host.memory)
    {
        let has = ByteSize(host.memory).human();
        return Err(format!(
            "`limits.memory={text}` is more than this host has: {has}"
        ));
    }
    let unmet = plan_limits(after, Vec::new(), host)?.unmet;
    let lacks = unmet
        .into_iter()
        .find(|text| text.starts_with("`limits.cpu="));
    lacks.filter(|_| is_new("limits.cpu")).map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests;
