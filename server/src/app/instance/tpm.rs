//! TPMs of instances: an emulator each, which comes and goes with its instance; what it keeps stays until the device or the
//! instance goes.

use std::path::PathBuf;

use rlxc_container::spec::DeviceSpec;
use rlxc_sys::background;
use rlxc_sys::chain::chain;

use crate::context::{App, blocking};
use crate::error::{Error, Result};
use crate::keys::device::tpm_path;
use crate::model::{Config, Devices};
use crate::runtime::Running;
use crate::service;
use crate::tpm::{self, Chip, Emulator};
use crate::uevent::Uevents;

/// The TPMs among devices.
fn tpms(devices: &Devices) -> impl Iterator<Item = (&String, &Config)> {
    let is_one = |keys: &Config| keys.get("type").is_some_and(|kind| kind == "tpm");
    devices.iter().filter(move |(_, keys)| is_one(keys))
}

fn emulator(app: &App, (id, device): (i64, &str)) -> Emulator {
    let run = app.places.instance_run(id);
    Emulator::new(&app.places.instance_tpms(id), &run, device)
}

fn failed(what: &str, (_, device): (i64, &str), error: Error) -> Error {
    Error::failed(format!("{what} device `{device}`"), error)
}

/// What the process is watched by.
fn watched((id, device): (i64, &str)) -> String {
    format!("TPM {id} {device}")
}

/// Refuses a TPM that this host can't emulate.
pub(super) async fn check(device: &str) -> Result<()> {
    let checked = blocking(tpm::check).await;
    checked.map_err(|wrong| Error::Invalid(format!("device `{device}`: {wrong}")))
}

/// Switches all TPMs of an instance on that is about to start; its nodes.
pub(super) async fn at_start(app: &App, id: i64, devices: &Devices) -> Result<Vec<DeviceSpec>> {
    let mut nodes = Vec::new();
    for (device, keys) in tpms(devices) {
        // One of the life before has measured that.
        end(app, (id, device)).await?;
        check(device).await?;
        nodes.extend(ensure(app, (id, device), keys).await?);
    }
    Ok(nodes)
}

/// The nodes of a TPM, which answers when this returns; one that runs goes on.
pub(super) async fn ensure(app: &App, key: (i64, &str), keys: &Config) -> Result<Vec<DeviceSpec>> {
    let emulator = emulator(app, key);
    let events = Uevents::open().map_err(|error| Error::failed("listen to the kernel", error))?;
    let group = service::helpers(&app.cgroups, &app.places);
    let started = blocking(move || run(&emulator, group)).await;
    let (name, process) = started.map_err(|error| failed("start", key, error))?;
    if let Some(process) = process {
        app.networking
            .watched
            .watch(&watched(key), process.into_pidfd());
    }
    revoke(app, key, &name).await?;
    let settled = tpm::settled(&name, &events).await;
    let chip = settled.map_err(|error| failed("start", key, error))?;
    Ok(nodes(key.1, keys, &chip))
}

type Process = background::Background;

fn run(emulator: &Emulator, group: Option<PathBuf>) -> Result<(String, Option<Process>)> {
    if let (Some(process), Some(name)) = (emulator.process(), emulator.chip_name()) {
        return Ok((name, Some(process)));
    }
    emulator.end()?;
    let name = emulator.launch()?;
    let process = emulator.process();
    if let (Some(process), Some(group)) = (&process, group)
        && let Err(error) = process.enter(&group)
    {
        tracing::warn!(group = %group.display(), %error, "swtpm stays in the control group of the daemon");
    }
    Ok((name, process))
}

/// The kernel gives the number of a device that has ended to the next: who still has its nodes, since what emulated it died a
/// moment ago, must not have them any more.
async fn revoke(app: &App, key: (i64, &str), name: &str) -> Result<()> {
    for id in app.instances.ids() {
        let run = app.places.instance_run(id);
        for device in blocking(move || tpm::known(&run)).await {
            let other = emulator(app, (id, &device));
            if (id, device.as_str()) == key || other.chip_name().as_deref() != Some(name) {
                continue;
            }
            if let Some(running) = app.instances.status(id).running {
                let taken = running.set_devices(&device, Vec::new()).await;
                taken.map_err(|error| {
                    Error::failed(format!("take `{name}` from instance {id}"), error)
                })?;
            }
            blocking(move || other.end()).await?;
        }
    }
    Ok(())
}

fn nodes(device: &str, keys: &Config, chip: &Chip) -> Vec<DeviceSpec> {
    let number = chip.name.trim_start_matches("tpm");
    let node = |key: &str, source: String, number: &str| DeviceSpec {
        device: device.to_owned(),
        path: tpm_path(keys, key).into(),
        source: source.into(),
        kind: "c".to_owned(),
        number: number.to_owned(),
        mode: 0o660,
        uid: 0,
        gid: 0,
        optional: false,
    };
    vec![
        node("path", format!("/dev/tpm{number}"), &chip.plain),
        node("pathrm", format!("/dev/tpmrm{number}"), &chip.managed),
    ]
}

/// Switches a TPM off; fine if it is.
pub(super) async fn end(app: &App, key: (i64, &str)) -> Result<()> {
    app.networking.watched.forget(&watched(key));
    let (emulator, group) = (
        emulator(app, key),
        service::helpers(&app.cgroups, &app.places),
    );
    let ended = blocking(move || {
        emulator.end()?;
        group.as_deref().map(background::leave);
        Ok(())
    });
    ended.await.map_err(|error| failed("end", key, error))
}

/// An instance has ended, and with it its TPMs.
pub(super) async fn left(app: &App, id: i64) {
    let run = app.places.instance_run(id);
    for device in blocking(move || tpm::known(&run)).await {
        if let Err(error) = end(app, (id, &device)).await {
            tracing::warn!(instance = id, device, error = %chain(&error), "a TPM stays on");
        }
    }
}

/// Removes what is kept by TPMs that an instance has no more; the reconciler tries again what fails.
pub(super) async fn forget(app: &App, id: i64, devices: &Devices) {
    let directory = app.places.instance_tpms(id);
    let present: Vec<String> = tpms(devices).map(|(device, _)| device.clone()).collect();
    let removed = blocking(move || {
        let entries = std::fs::read_dir(&directory)
            .into_iter()
            .flatten()
            .flatten();
        let gone = entries.filter(|entry| {
            let name = entry.file_name();
            !present.iter().any(|device| name == device.as_str())
        });
        gone.map(|entry| entry.path())
            .try_for_each(std::fs::remove_dir_all)?;
        if present.is_empty() && directory.exists() {
            std::fs::remove_dir(&directory)?;
        }
        Ok::<_, std::io::Error>(())
    });
    if let Err(error) = removed.await {
        tracing::warn!(instance = id, %error, "what a TPM kept stays behind");
    }
}

/// Removes what is kept by all TPMs of an instance that is deleted.
pub async fn forget_all(app: &App, id: i64) -> Result<()> {
    let directory = app.places.instance_tpms(id);
    let removed = blocking(move || match std::fs::remove_dir_all(&directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    });
    let what = || format!("remove what the TPMs of instance {id} kept");
    removed.await.map_err(|error| Error::failed(what(), error))
}

/// Switches TPMs on again whose emulators have died, and gives their nodes to the instance; what was found. A program that had
/// one open has to open it again, and finds it as after a reset.
async fn revive(
    app: &App,
    id: i64,
    devices: &Devices,
    running: &dyn Running,
) -> Vec<(String, String)> {
    let mut findings = Vec::new();
    for (device, keys) in tpms(devices) {
        let emulator = emulator(app, (id, device));
        if let Some(process) = blocking(move || emulator.process()).await {
            let watched = watched((id, device));
            app.networking.watched.watch(&watched, process.into_pidfd());
            continue;
        }
        let again = async {
            let nodes = ensure(app, (id, device), keys).await?;
            let set = running.set_devices(device, nodes).await;
            set.map_err(|error| Error::failed(format!("set device `{device}`"), error))
        };
        let text = match again.await {
            Ok(()) => format!("swtpm of device `{device}` had ended and was started again"),
            Err(error) => chain(&error).to_string(),
        };
        findings.push((device.clone(), text));
    }
    findings
}

/// An instance looked at, by a caller that holds it: what it should have and has not is mended, what it has and should not goes.
pub async fn mend(
    app: &App,
    id: i64,
    devices: &Devices,
    running: Option<&dyn Running>,
) -> Vec<(String, String)> {
    let findings = if let Some(running) = running {
        revive(app, id, devices, running).await
    } else {
        left(app, id).await;
        Vec::new()
    };
    forget(app, id, devices).await;
    findings
}
