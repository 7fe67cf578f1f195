//! The columns that a letter stands for.

use rlxc_api::{InstanceFull, InstanceState};

use crate::render;

/// What a column shows of an instance.
pub(super) type Field = fn(&InstanceFull) -> String;

/// Header and content of a column.
pub(super) fn field(letter: char) -> Option<(&'static str, Field)> {
    Some(match letter {
        'n' => ("NAME", |i| i.instance.name.clone()),
        's' => ("STATE", |i| i.instance.status.to_uppercase()),
        '4' => ("IPV4", |i| addresses(i.state.as_ref(), "inet")),
        '6' => ("IPV6", |i| addresses(i.state.as_ref(), "inet6")),
        't' => ("TYPE", |i| {
            let ephemeral = if i.instance.put.ephemeral {
                " (EPHEMERAL)"
            } else {
                ""
            };
            format!("{}{ephemeral}", i.instance.kind.to_uppercase())
        }),
        'S' => ("SNAPSHOTS", |i| {
            i.snapshots.as_ref().map_or(0, Vec::len).to_string()
        }),
        'a' => ("ARCHITECTURE", |i| i.instance.put.architecture.clone()),
        'c' => ("CREATED AT", |i| render::short_time(&i.instance.created_at)),
        'd' => ("DESCRIPTION", |i| i.instance.put.description.clone()),
        'l' => ("LAST USED AT", |i| {
            render::short_time(&i.instance.last_used_at)
        }),
        'p' => ("PID", |i| of_running(i, |state| state.pid.to_string())),
        'P' => ("PROFILES", |i| {
            i.instance
                .put
                .profiles
                .clone()
                .unwrap_or_default()
                .join("\n")
        }),
        'e' => ("PROJECT", |i| i.instance.project.clone()),
        'm' => ("MEMORY USAGE", |i| {
            of_running(i, |state| render::bytes(state.memory.usage))
        }),
        'D' => ("DISK USAGE", |i| {
            i.state
                .as_ref()
                .and_then(|state| state.disk.get("root"))
                .map_or_else(String::new, |root| render::bytes(root.usage))
        }),
        'N' => ("PROCESSES", |i| {
            of_running(i, |state| state.processes.to_string())
        }),
        'u' => ("CPU USAGE", |i| {
            of_running(i, |state| format!("{}s", state.cpu.usage / 1_000_000_000))
        }),
        'M' => ("MEMORY USAGE%", |i| of_running(i, memory_share)),
        'b' => ("STORAGE POOL", |i| pool(i)),
        'f' => ("BASE IMAGE", |i| base_image(i).chars().take(12).collect()),
        'F' => ("BASE IMAGE", |i| base_image(i).to_owned()),
        'L' => ("LOCATION", |i| i.instance.location.clone()),
        'q' => ("EPHEMERAL", |i| render::yes(i.instance.put.ephemeral)),
        _ => return None,
    })
}

fn of_running(instance: &InstanceFull, value: fn(&InstanceState) -> String) -> String {
    instance
        .state
        .as_ref()
        .filter(|state| state.pid > 0)
        .map(value)
        .unwrap_or_default()
}

/// Addresses that others can reach, one a line: `10.1.2.3 (eth0)`.
fn addresses(state: Option<&InstanceState>, family: &str) -> String {
    let Some(state) = state else {
        return String::new();
    };
    let lines: Vec<String> = state
        .network
        .iter()
        .filter(|(_, nic)| nic.kind != "loopback")
        .flat_map(|(name, nic)| nic.addresses.iter().map(move |address| (name, address)))
        .filter(|(_, address)| address.family == family && address.scope == "global")
        .map(|(name, address)| format!("{} ({name})", address.address))
        .collect();
    lines.join("\n")
}

fn memory_share(state: &InstanceState) -> String {
    let (usage, total) = (state.memory.usage, state.memory.total);
    if total <= 0 {
        return String::new();
    }
    let tenths = usage.saturating_mul(1000) / total;
    format!("{}.{}%", tenths / 10, tenths % 10)
}

fn pool(instance: &InstanceFull) -> String {
    let is_root = |device: &&std::collections::BTreeMap<String, String>| {
        device.get("type").is_some_and(|kind| kind == "disk")
            && device.get("path").is_some_and(|path| path == "/")
    };
    let root = instance.instance.expanded_devices.values().find(is_root);
    root.and_then(|device| device.get("pool"))
        .cloned()
        .unwrap_or_default()
}

fn base_image(instance: &InstanceFull) -> &str {
    let config = &instance.instance.put.config;
    config.get("volatile.base_image").map_or("", String::as_str)
}
