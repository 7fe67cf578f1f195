//! `info INSTANCE --resources`: what an instance uses, beside what it may use.

use std::collections::BTreeMap;

use rlxc_api::{InstanceFull, InstanceState};

use super::{Text, seconds};
use crate::render;

/// What is used of what is allowed; then the limits themselves and the devices that were handed over.
pub(super) fn text(full: &InstanceFull) -> String {
    let mut out = Text::default();
    out.line("Name", &full.instance.name);
    let config = &full.instance.expanded_config;
    if let Some(state) = full.state.as_ref().filter(|state| state.pid > 0) {
        out.section("Used");
        used(&mut out, state, config);
    }
    let limits: Vec<_> = config
        .iter()
        .filter(|(key, _)| key.starts_with("limits."))
        .collect();
    if !limits.is_empty() {
        out.section("Limits");
        for (key, value) in limits {
            out.line(&format!("  {key}"), value);
        }
    }
    devices(&mut out, full);
    out.0
}

fn used(out: &mut Text, state: &InstanceState, config: &BTreeMap<String, String>) {
    let of = |used: String, most: Option<&String>| match most {
        Some(most) => format!("{used} of {most}"),
        None => used,
    };
    let processes = state.processes.to_string();
    out.line(
        "  Processes",
        &of(processes, config.get("limits.processes")),
    );
    out.line("  CPU time", &format!("{:.2}s", seconds(state.cpu.usage)));
    let total = render::bytes(state.memory.total);
    let memory = render::bytes(state.memory.usage);
    out.line(
        "  Memory",
        &of(memory, Some(&total).filter(|total| !total.is_empty())),
    );
    out.line("  Memory peak", &render::bytes(state.memory.usage_peak));
    out.line("  Swap", &render::bytes(state.memory.swap_usage));
    for (name, disk) in &state.disk {
        out.line(&format!("  Disk {name}"), &render::bytes(disk.usage));
    }
    for (name, nic) in state
        .network
        .iter()
        .filter(|(_, nic)| nic.kind != "loopback")
    {
        let bytes = |count: i64| match render::bytes(count) {
            none if none.is_empty() => "0B".to_owned(),
            some => some,
        };
        let (received, sent) = (
            bytes(nic.counters.bytes_received),
            bytes(nic.counters.bytes_sent),
        );
        out.line(
            &format!("  Network {name}"),
            &format!("{received} received, {sent} sent"),
        );
    }
}

/// Rates of disks and NICs, and what of the host's is in there.
fn devices(out: &mut Text, full: &InstanceFull) {
    const HANDED_OVER: [&str; 6] = [
        "gpu",
        "tpm",
        "unix-block",
        "unix-char",
        "unix-hotplug",
        "usb",
    ];
    let mut lines = Vec::new();
    for (name, keys) in &full.instance.expanded_devices {
        let kind = keys.get("type").map_or("", String::as_str);
        let shown = keys.iter().filter(|(key, _)| {
            key.starts_with("limits.")
                || *key == "size"
                || HANDED_OVER.contains(&kind) && *key != "type"
        });
        let shown: Vec<String> = shown.map(|(key, value)| format!("{key}={value}")).collect();
        if !shown.is_empty() || HANDED_OVER.contains(&kind) {
            lines.push((
                format!("  {name}"),
                [vec![kind.to_owned()], shown].concat().join(" "),
            ));
        }
    }
    if !lines.is_empty() {
        out.section("Devices");
    }
    for (name, text) in lines {
        out.line(&name, &text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stands_beside_what_is_allowed() {
        let mut full = InstanceFull::default();
        full.instance.name = "dev1".into();
        let config = [
            ("limits.memory", "1GiB"),
            ("limits.processes", "500"),
            ("user.a", "b"),
        ];
        full.instance.expanded_config = config
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        let keys = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect()
        };
        full.instance
            .expanded_devices
            .insert("gpu0".into(), keys(&[("type", "gpu")]));
        let root = keys(&[("type", "disk"), ("path", "/"), ("limits.read", "10MB")]);
        full.instance.expanded_devices.insert("root".into(), root);
        let mut state = InstanceState {
            pid: 1,
            processes: 12,
            ..InstanceState::default()
        };
        (state.memory.usage, state.memory.total) = (1 << 20, 1 << 30);
        full.state = Some(state);
        insta::assert_snapshot!(text(&full), @r"
        Name: dev1

        Used:
          Processes: 12 of 500
          CPU time: 0.00s
          Memory: 1.00MiB of 1.00GiB

        Limits:
          limits.memory: 1GiB
          limits.processes: 500

        Devices:
          gpu0: gpu
          root: disk limits.read=10MB
        ");
    }
}
