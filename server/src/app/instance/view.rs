//! Instances as clients see them. What the inventory knows is one query; what only the kernel knows is asked of it
//! directly: two netlink dumps and a few cgroup files, no process.

use std::sync::Arc;

use rlxc_api::{
    Instance as InstanceView, InstanceFull, InstancePut, InstanceSnapshot, InstanceState,
    InstanceStateCpu, InstanceStateDisk, InstanceStateMemory, InstanceStateNetwork,
    InstanceStateNetworkAddress, InstanceStateNetworkCounters, StatusCode, Timestamp,
};
use rlxc_network::InterfaceState;

use super::find;
use super::snapshot::find_snapshot;
use crate::context::{App, blocking};
use crate::db::{instances, profiles};
use crate::error::Result;
use crate::guest;
use crate::instance::Status;
use crate::keys::is_true;
use crate::model::{Instance, Profile, Snapshot};
use crate::plan::expand::{expand, expand_parts};
use crate::saga::instance_volume;

/// How much of each instance is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// What the inventory and the actor know.
    Plain,
    /// Snapshots, and of the state only which interfaces and addresses there are: what a listing shows.
    Addresses,
    /// State and snapshots too.
    Full,
}

/// All instances of a project, or of all projects.
pub async fn list(app: &Arc<App>, project: Option<&str>, view: View) -> Result<Vec<InstanceFull>> {
    let id = match project {
        Some(name) => Some(app.project(name).await?),
        None => None,
    };
    let (rows, known) = app
        .db
        .read(move |tx| {
            Ok::<_, crate::error::Error>((instances::list(tx, id)?, profiles::known(tx)?))
        })
        .await?;
    let app = Arc::clone(app);
    let build = move || {
        rows.iter()
            .map(|row| build(&app, row, known.of(&row.project), view))
            .collect()
    };
    // Only the kernel makes one wait, and that in microseconds; but there may be thousands.
    Ok(if view == View::Plain {
        build()
    } else {
        blocking(build).await
    })
}

/// One instance.
pub async fn get(app: &App, project: &str, name: &str) -> Result<InstanceView> {
    let (row, known) = load(app, project, name).await?;
    Ok(plain(&row, &known, &app.instances.status(row.id)))
}

/// One instance with its state and snapshots.
pub async fn full(app: &Arc<App>, project: &str, name: &str) -> Result<InstanceFull> {
    let (row, known) = load(app, project, name).await?;
    let app = Arc::clone(app);
    Ok(blocking(move || build(&app, &row, &known, View::Full)).await)
}

/// State of one instance, with the usage of its disk.
pub async fn state(app: &Arc<App>, project: &str, name: &str) -> Result<InstanceState> {
    let row = find(app, project, name).await?;
    let app = Arc::clone(app);
    let driver = app.pools.get(&row.pool).ok();
    Ok(blocking(move || {
        let mut state = read_state(&app, &row, &app.instances.status(row.id), View::Full);
        let usage = driver.and_then(|driver| driver.volume_usage(instance_volume(row.id)).ok());
        if let Some(usage) = usage {
            let disk = InstanceStateDisk {
                usage: signed(usage),
                ..InstanceStateDisk::default()
            };
            state.disk.insert("root".to_owned(), disk);
        }
        state
    })
    .await)
}

/// All snapshots of an instance.
pub async fn snapshots(app: &App, project: &str, name: &str) -> Result<Vec<InstanceSnapshot>> {
    let (row, known) = load(app, project, name).await?;
    Ok(row
        .snapshots
        .iter()
        .map(|snapshot| render_snapshot(&row, snapshot, &known))
        .collect())
}

/// One snapshot.
pub async fn snapshot(
    app: &App,
    project: &str,
    name: &str,
    snapshot: &str,
) -> Result<InstanceSnapshot> {
    let (row, known) = load(app, project, name).await?;
    Ok(render_snapshot(
        &row,
        find_snapshot(&row, snapshot)?,
        &known,
    ))
}

async fn load(app: &App, project: &str, name: &str) -> Result<(Instance, Vec<Profile>)> {
    let row = find(app, project, name).await?;
    let id = app.project(project).await?;
    let known = app.db.read(move |tx| profiles::list(tx, id)).await?;
    Ok((row, known))
}

fn build(app: &App, row: &Instance, known: &[Profile], view: View) -> InstanceFull {
    let status = app.instances.status(row.id);
    let instance = plain(row, known, &status);
    if view == View::Plain {
        return InstanceFull {
            instance,
            ..InstanceFull::default()
        };
    }
    InstanceFull {
        state: Some(read_state(app, row, &status, view)),
        snapshots: Some(
            row.snapshots
                .iter()
                .map(|snapshot| render_snapshot(row, snapshot, known))
                .collect(),
        ),
        backups: None,
        instance,
    }
}

/// A guest that runs may have said that it is ready.
fn status_code(row: &Instance, status: &Status) -> StatusCode {
    if status.code == StatusCode::Running && is_true(&row.config, guest::READY) {
        StatusCode::Ready
    } else {
        status.code
    }
}

pub(super) fn plain(row: &Instance, known: &[Profile], status: &Status) -> InstanceView {
    let expanded = expand(row, known);
    let code = status_code(row, status);
    InstanceView {
        put: InstancePut {
            architecture: row.architecture.clone(),
            config: row.config.clone(),
            devices: row.devices.clone(),
            ephemeral: row.ephemeral,
            profiles: Some(row.profiles.clone()),
            restore: String::new(),
            stateful: false,
            description: row.description.clone(),
        },
        created_at: Timestamp(row.created_at.clone()),
        expanded_config: expanded.config,
        expanded_devices: expanded.devices,
        name: row.name.clone(),
        status: code.text().to_owned(),
        status_code: code,
        last_used_at: time(row.last_used_at.as_deref()),
        location: "none".to_owned(),
        kind: "container".to_owned(),
        project: row.project.clone(),
    }
}

/// A snapshot as clients see it.
pub fn render_snapshot(row: &Instance, snapshot: &Snapshot, known: &[Profile]) -> InstanceSnapshot {
    let expanded = expand_parts(
        &snapshot.profiles,
        known,
        &snapshot.config,
        &snapshot.devices,
    );
    InstanceSnapshot {
        architecture: row.architecture.clone(),
        config: snapshot.config.clone(),
        created_at: Timestamp(snapshot.created_at.clone()),
        devices: snapshot.devices.clone(),
        ephemeral: snapshot.ephemeral,
        expanded_config: expanded.config,
        expanded_devices: expanded.devices,
        expires_at: time(snapshot.expires_at.as_deref()),
        last_used_at: Timestamp::none(),
        name: snapshot.name.clone(),
        profiles: snapshot.profiles.clone(),
        stateful: false,
        size: -1,
        description: snapshot.description.clone(),
    }
}

fn time(text: Option<&str>) -> Timestamp {
    text.map_or_else(Timestamp::none, |text| Timestamp(text.to_owned()))
}

fn read_state(app: &App, row: &Instance, status: &Status, view: View) -> InstanceState {
    let code = status_code(row, status);
    let mut state = InstanceState {
        status: code.text().to_owned(),
        status_code: code,
        ..InstanceState::default()
    };
    let Some(running) = &status.running else {
        return state;
    };
    state.pid = i64::from(running.init_pid());
    state.started_at = time(row.last_used_at.as_deref());
    // Without a memory controller this asks every process of the instance.
    if view == View::Full
        && let Ok(usage) = app.cgroup(row.id).usage()
    {
        add_usage(&mut state, &usage, app.host.memory);
    }
    // An instance that ends at this moment has no interfaces any more.
    let interfaces = match view {
        View::Addresses => running.netns().interfaces_without_counters(),
        View::Plain | View::Full => running.netns().interfaces(),
    }
    .unwrap_or_default();
    state.network = interfaces
        .iter()
        .map(|interface| (interface.name.clone(), render_interface(row, interface)))
        .collect();
    state
}

fn add_usage(state: &mut InstanceState, usage: &rlxc_container::cgroup::Usage, host_memory: u64) {
    state.processes = signed(usage.processes);
    state.cpu = InstanceStateCpu {
        usage: signed(usage.cpu_ns),
    };
    state.memory = InstanceStateMemory {
        usage: signed(usage.memory),
        usage_peak: signed(usage.memory_peak.unwrap_or(0)),
        swap_usage: signed(usage.swap.unwrap_or(0)),
        swap_usage_peak: 0,
        total: signed(usage.memory_limit.unwrap_or(host_memory)),
    };
}

fn render_interface(row: &Instance, interface: &InterfaceState) -> InstanceStateNetwork {
    let counters = &interface.counters;
    let host_name = row
        .config
        .get(&format!("volatile.{}.host_name", interface.name))
        .cloned()
        .unwrap_or_default();
    InstanceStateNetwork {
        addresses: interface.addresses.iter().map(render_address).collect(),
        counters: InstanceStateNetworkCounters {
            bytes_received: signed(counters.bytes_received),
            bytes_sent: signed(counters.bytes_sent),
            packets_received: signed(counters.packets_received),
            packets_sent: signed(counters.packets_sent),
            errors_received: signed(counters.errors_received),
            errors_sent: signed(counters.errors_sent),
            packets_dropped_outbound: signed(counters.packets_dropped_outbound),
            packets_dropped_inbound: signed(counters.packets_dropped_inbound),
        },
        hwaddr: interface
            .hwaddr
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        host_name: if interface.loopback {
            String::new()
        } else {
            host_name
        },
        mtu: i64::from(interface.mtu),
        state: if interface.up { "up" } else { "down" }.to_owned(),
        kind: if interface.loopback {
            "loopback"
        } else {
            "broadcast"
        }
        .to_owned(),
    }
}

fn render_address(address: &rlxc_network::InterfaceAddress) -> InstanceStateNetworkAddress {
    InstanceStateNetworkAddress {
        family: address.family().to_owned(),
        address: address.address.to_string(),
        netmask: address.prefix.to_string(),
        scope: address.scope.as_str().to_owned(),
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
