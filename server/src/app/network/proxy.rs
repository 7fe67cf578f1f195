//! Proxies of instances: processes that pass connections on, or rules that do. They come and go with their instance.

use std::path::{Path, PathBuf};

use rlxc_container::proxy::{Endpoint, ProxySpec};
use rlxc_sys::{path, unix_socket};

use super::ports::{self, Asker};
use super::traces::{self, Trace};
use super::{holder, rules};
use crate::context::{App, blocking};
use crate::db::instances;
use crate::error::{Error, Result};
use crate::files;
use crate::model::{Config, Devices, Instance};
use crate::plan::expand::Expanded;
use crate::plan::proxy::{ProxyPlan, Surroundings, plan_proxy};
use crate::runtime::{Running, RuntimeError};

/// Decides what a proxy comes to; an error names the device.
pub fn plan(app: &App, instance: &Instance, devices: &Devices, device: &str) -> Result<ProxyPlan> {
    let keys = devices.get(device).cloned().unwrap_or_default();
    plan_keys(app, instance, devices, (device, &keys))
}

/// The same for a device that may not be among the others yet.
pub fn plan_keys(
    app: &App,
    instance: &Instance,
    devices: &Devices,
    (device, keys): (&str, &Config),
) -> Result<ProxyPlan> {
    let around = Surroundings {
        lock: lock(app, instance.id, device),
        cgroup: app.places.instance_cgroup(instance.id),
        idmap_base: instance.idmap_base.unwrap_or(0),
        devices,
    };
    plan_proxy(keys, &around).map_err(|wrong| Error::Invalid(format!("device `{device}`: {wrong}")))
}

/// Refuses a proxy that makes no sense; what it comes to otherwise is good for looking at only.
pub fn check(instance: &Instance, devices: &Devices, device: &str) -> Result<ProxyPlan> {
    let keys = devices.get(device).cloned().unwrap_or_default();
    let around = Surroundings {
        lock: PathBuf::new(),
        cgroup: String::new(),
        idmap_base: instance.idmap_base.unwrap_or(0),
        devices,
    };
    let planned = plan_proxy(&keys, &around);
    planned.map_err(|wrong| Error::Invalid(format!("device `{device}`: {wrong}")))
}

fn lock(app: &App, instance: i64, device: &str) -> PathBuf {
    let name = format!("proxy-{device}.lock");
    app.places.instance_run(instance).join(name)
}

/// The names of the proxies among devices.
pub fn proxies(devices: &Devices) -> impl Iterator<Item = &String> {
    devices
        .iter()
        .filter(|(_, keys)| keys.get("type").is_some_and(|kind| kind == "proxy"))
        .map(|(device, _)| device)
}

/// Starts a proxy of a running instance; fine if it runs.
pub async fn start(
    app: &App,
    (id, device): (i64, &str),
    plan: ProxyPlan,
    running: &dyn Running,
) -> Result<()> {
    if let ProxyPlan::Process(spec) = &plan
        && app.runtime.is_proxy_running(&spec.lock)
    {
        return Ok(());
    }
    let listening = ports::of_plan(&plan);
    let asker = match &plan {
        ProxyPlan::Rules { .. } => Asker::Rules(id, device),
        ProxyPlan::Process(_) => Asker::Process,
    };
    let _turn = app.networking.listening.lock().await;
    let project = project(app, id).await?;
    let free = ports::refuse_taken(app, asker, &project, &listening).await;
    free.map_err(|error| match error {
        Error::Conflict(why) => Error::Conflict(format!("start proxy `{device}`: {why}")),
        other => other,
    })?;
    match plan {
        ProxyPlan::Rules { network, rules } => {
            rules::set_proxy(app, (id, device), Some((network, rules))).await
        }
        ProxyPlan::Process(spec) => {
            if !spec.inside {
                let traces: Vec<Trace> = sockets(&spec).map(Trace::Socket).collect();
                if !traces.is_empty() {
                    traces::note(app, (id, device), &traces).await?;
                }
            }
            let pairs = spec.pairs.clone();
            let started = app.runtime.start_proxy(*spec, running.pidfd()).await;
            match started {
                Ok(()) => Ok(()),
                Err(error) => {
                    let who = ports::process_on(app, (id, device), &project, &listening).await;
                    Err(refused(device, &pairs, who, error))
                }
            }
        }
    }
}

async fn project(app: &App, id: i64) -> Result<String> {
    let row = app.db.read(move |tx| instances::find_by_id(tx, id)).await?;
    Ok(row.map(|row| row.project).unwrap_or_default())
}

fn refused(
    device: &str,
    pairs: &[(Endpoint, Endpoint)],
    who: Option<String>,
    error: RuntimeError,
) -> Error {
    let what = format!("start proxy `{device}`");
    match &error {
        RuntimeError::Start(failure) if failure.errno == holder::ADDRESS_IN_USE => {
            let listened = pairs.iter().map(|(listen, _)| listen);
            match who.or_else(|| holder::find(listened)) {
                Some(who) => {
                    Error::Conflict(format!("{what}: {}: it is in use by {who}", failure.detail))
                }
                None => Error::Conflict(format!("{what}: {}: it is in use", failure.detail)),
            }
        }
        RuntimeError::Start(failure) => Error::Unavailable(format!("{what}: {}", failure.detail)),
        _ => Error::failed(what, error),
    }
}

/// Ends a proxy of a running instance; fine if there is none. `plan` is what it was, as far as can be told.
pub async fn stop(
    app: &App,
    (id, device): (i64, &str),
    plan: Option<ProxyPlan>,
    running: &dyn Running,
) -> Result<()> {
    rules::set_proxy(app, (id, device), None).await?;
    end(app, (id, device)).await?;
    match plan {
        Some(ProxyPlan::Process(spec)) if spec.inside => {
            let Ok(root) = files::root_of(running) else {
                // It has ended meanwhile, and what it had in `/run` with it.
                return Ok(());
            };
            let sockets: Vec<PathBuf> = sockets(&spec).collect();
            let remove = move || {
                let mut sockets = sockets.iter();
                sockets.try_for_each(|path| unix_socket::remove_abandoned(&root, path))
            };
            let removed = blocking(remove).await;
            removed.map_err(|error| Error::failed(format!("end proxy `{device}`"), error))
        }
        _ => traces::undo(app, (id, device), None).await,
    }
}

async fn end(app: &App, (id, device): (i64, &str)) -> Result<()> {
    let stopped = app.runtime.stop_proxy(&lock(app, id, device)).await;
    stopped.map_err(|error| Error::failed(format!("end proxy `{device}`"), error))
}

/// Removes the socket of a proxy that has no instance or shall have none, once it has ended.
pub(super) async fn undo_listening(app: &App, key: (i64, &str), socket: &Path) -> Result<()> {
    end(app, key).await?;
    let socket = socket.to_owned();
    let removed =
        blocking(move || unix_socket::remove_abandoned(path::open_dir(Path::new("/"))?, &socket));
    let failed = |error| Error::failed(format!("remove the socket of proxy `{}`", key.1), error);
    removed.await.map_err(failed)
}

/// The unix sockets in the file system that it makes.
fn sockets(spec: &ProxySpec) -> impl Iterator<Item = PathBuf> {
    let listened = spec.pairs.iter().map(|(listen, _)| listen);
    listened.filter_map(|listen| match listen {
        Endpoint::Unix(path) => Some(path.clone()),
        _ => None,
    })
}

/// Starts all proxies of an instance that has just been started.
pub async fn start_all(
    app: &App,
    instance: &Instance,
    expanded: &Expanded,
    running: &dyn Running,
) -> Result<()> {
    for device in proxies(&expanded.devices) {
        let plan = plan(app, instance, &expanded.devices, device)?;
        start(app, (instance.id, device), plan, running).await?;
    }
    Ok(())
}
