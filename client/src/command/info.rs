//! `info`.

mod resources;

use std::fmt::Write as _;

use anyhow::Result;
use rlxc_api::{DoctorReport, Instance, InstanceFull, InstanceState, Resources, Server, Severity};
use rlxc_client::url;
use serde::Serialize;

use crate::cli::InfoArgs;
use crate::context::Context;
use crate::render;

pub(crate) async fn run(context: &Context, args: InfoArgs) -> Result<()> {
    let Some(name) = args.name.filter(|name| !name.is_empty()) else {
        if args.resources {
            let all: Resources = context.client.get("/1.0/resources").await?;
            return context.yaml(&all);
        }
        context.yaml(&context.client.get::<Server>("/1.0").await?)?;
        return host(context).await;
    };
    let path = url::instance(&name);
    if args.resources {
        let full: InstanceFull = context.client.get(&format!("{path}?recursion=1")).await?;
        return context.printer.print(&resources::text(&full));
    }
    if args.show_log {
        let log = context
            .client
            .fetch(&format!("{path}/logs/lxc.log"))
            .await?;
        return context.printer.bytes(&log);
    }
    let full: InstanceFull = context.client.get(&format!("{path}?recursion=1")).await?;
    context.printer.print(&text(&full))
}

/// What the host gives instances for protection and for control of resources, and what it lacks, as its doctor says.
#[derive(Debug, Serialize)]
struct Host {
    active: Vec<String>,
    lacks: Vec<String>,
}

/// Findings of the doctor that are about that.
const OF_HOST: [&str; 12] = [
    "apparmor",
    "cgroup-controller",
    "cgroup-delegation",
    "cgroup-devices",
    "cgroup-layout",
    "cgroup-swap",
    "idmapped-mounts",
    "interception",
    "kernel-namespaces",
    "seccomp",
    "user-namespaces",
    "view",
];

/// A server that is not ours, or does not tell us, has no such thing.
async fn host(context: &Context) -> Result<()> {
    let Ok(report) = context.client.get::<DoctorReport>("/internal/doctor").await else {
        return Ok(());
    };
    context.yaml(&std::collections::BTreeMap::from([("host", judge(report))]))
}

fn judge(report: DoctorReport) -> Host {
    let mut host = Host {
        active: Vec::new(),
        lacks: Vec::new(),
    };
    let findings = report.findings.into_iter();
    for finding in findings.filter(|finding| OF_HOST.contains(&finding.id.as_str())) {
        let what = match finding.detail.as_str() {
            "" => finding.title,
            detail => format!("{} ({detail})", finding.title),
        };
        if finding.severity == Severity::Ok {
            host.active.push(what);
        } else {
            host.lacks.push(format!("{what}: {}", finding.cost));
        }
    }
    host
}

fn text(full: &InstanceFull) -> String {
    let mut out = Text::default();
    head(&mut out, &full.instance);
    if let Some(state) = full.state.as_ref().filter(|state| state.pid > 0) {
        out.line("PID", &state.pid.to_string());
        usage(&mut out, state);
        network(&mut out, state);
    }
    let snapshots = full.snapshots.as_deref().unwrap_or_default();
    if !snapshots.is_empty() {
        out.section("Snapshots");
        for snapshot in snapshots {
            out.line(
                &format!("  {}", snapshot.name),
                &render::short_time(&snapshot.created_at),
            );
        }
    }
    out.0
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            // Writing to a String cannot fail.
            writeln!(self.0, "{key}: {value}").ok();
        }
    }

    fn section(&mut self, title: &str) {
        writeln!(self.0, "\n{title}:").ok();
    }
}

fn head(out: &mut Text, instance: &Instance) {
    out.line("Name", &instance.name);
    out.line("Description", &instance.put.description);
    out.line("Status", &instance.status.to_uppercase());
    out.line("Type", &instance.kind);
    out.line("Architecture", &instance.put.architecture);
    out.line(
        "Profiles",
        &instance.put.profiles.clone().unwrap_or_default().join(", "),
    );
    out.line("Created", &render::short_time(&instance.created_at));
    out.line("Last used", &render::short_time(&instance.last_used_at));
}

fn usage(out: &mut Text, state: &InstanceState) {
    out.section("Resources");
    out.line("  Processes", &state.processes.to_string());
    out.line("  CPU usage", &format!("{:.2}s", seconds(state.cpu.usage)));
    out.line("  Memory", &render::bytes(state.memory.usage));
    out.line("  Memory peak", &render::bytes(state.memory.usage_peak));
    out.line("  Swap", &render::bytes(state.memory.swap_usage));
    for (name, disk) in &state.disk {
        out.line(&format!("  Disk {name}"), &render::bytes(disk.usage));
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown with two decimals")]
fn seconds(nanoseconds: i64) -> f64 {
    nanoseconds as f64 / 1e9
}

fn network(out: &mut Text, state: &InstanceState) {
    out.section("Network");
    for (name, nic) in state
        .network
        .iter()
        .filter(|(_, nic)| nic.kind != "loopback")
    {
        out.line(&format!("  {name}"), &nic.state.to_uppercase());
        out.line("    Host interface", &nic.host_name);
        out.line("    MAC address", &nic.hwaddr);
        out.line("    Received", &render::bytes(nic.counters.bytes_received));
        out.line("    Sent", &render::bytes(nic.counters.bytes_sent));
        for address in &nic.addresses {
            out.line(
                "    Address",
                &format!(
                    "{}/{} ({})",
                    address.address, address.netmask, address.scope
                ),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rlxc_api::DoctorFinding;

    #[test]
    fn a_host_has_and_lacks() {
        let finding = |id: &str, severity, detail: &str| DoctorFinding {
            id: id.into(),
            severity,
            title: id.to_uppercase(),
            detail: detail.into(),
            cost: "much".into(),
            remedy: String::new(),
        };
        let host = judge(DoctorReport {
            findings: vec![
                finding("seccomp", Severity::Ok, ""),
                finding("cgroup-controller", Severity::Warning, "io"),
                finding("tools", Severity::Ok, ""),
            ],
        });
        assert_eq!(host.active, ["SECCOMP"]);
        assert_eq!(host.lacks, ["CGROUP-CONTROLLER (io): much"]);
    }
}
