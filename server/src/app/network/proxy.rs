//! Proxies of instances: processes that pass connections on, or rules that do. They come and go with their instance.

use super::{holder, rules};
use crate::context::App;
use crate::error::{Error, Result};
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

/// Refuses a proxy that makes no sense.
pub fn check(instance: &Instance, devices: &Devices, device: &str) -> Result<()> {
    let keys = devices.get(device).cloned().unwrap_or_default();
    let around = Surroundings {
        lock: std::path::PathBuf::new(),
        cgroup: String::new(),
        idmap_base: instance.idmap_base.unwrap_or(0),
        devices,
    };
    let planned = plan_proxy(&keys, &around);
    planned.map_err(|wrong| Error::Invalid(format!("device `{device}`: {wrong}")))?;
    Ok(())
}

fn lock(app: &App, instance: i64, device: &str) -> std::path::PathBuf {
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
    match plan {
        ProxyPlan::Rules { network, rules } => {
            rules::set_proxy(app, (id, device), Some((network, rules))).await
        }
        ProxyPlan::Process(spec) => {
            if app.runtime.is_proxy_running(&spec.lock) {
                return Ok(());
            }
            let pairs = spec.pairs.clone();
            let started = app.runtime.start_proxy(*spec, running.pidfd()).await;
            started.map_err(|error| refused(device, &pairs, error))
        }
    }
}

fn refused(
    device: &str,
    pairs: &[(
        rlxc_container::proxy::Endpoint,
        rlxc_container::proxy::Endpoint,
    )],
    error: RuntimeError,
) -> Error {
    let what = format!("start proxy `{device}`");
    match &error {
        RuntimeError::Start(failure) if failure.errno == holder::ADDRESS_IN_USE => {
            let listened = pairs.iter().map(|(listen, _)| listen);
            match holder::find(listened) {
                Some(who) => {
                    Error::Conflict(format!("{what}: {}: it is in use by {who}", failure.detail))
                }
                None => Error::Conflict(format!("{what}: {}: it is in use", failure.detail)),
            }
        }
        _ => Error::failed(what, error),
    }
}

/// Ends a proxy; fine if there is none.
pub async fn stop(app: &App, (id, device): (i64, &str)) -> Result<()> {
    rules::set_proxy(app, (id, device), None).await?;
    let stopped = app.runtime.stop_proxy(&lock(app, id, device)).await;
    stopped.map_err(|error| Error::failed(format!("end proxy `{device}`"), error))
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
