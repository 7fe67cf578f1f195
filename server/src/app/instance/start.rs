//! Starting: plan, monitor, links, release. Whatever fails leaves the instance stopped and nothing behind: a prepared
//! container that is dropped is killed by its monitor, and its links die with its namespace.

use std::sync::Arc;

use rlxc_api::Requestor;
use rlxc_container::spec::MountSpec;
use rlxc_sys::rootfs::RootSource;

use super::{devices, find_by_id, ids, limits, modules, pinning, tpm};
use crate::app::apparmor;
use crate::app::network;
use crate::app::project::gate;
use crate::app::template::{self, Trigger};
use crate::app::volume;
use crate::context::{App, blocking};
use crate::db::{instances, profiles};
use crate::error::{Error, Result};
use crate::guest;
use crate::instance::{Outcome, Permit};
use crate::keys::is_true;
use crate::lxcfs;
use crate::model::{Config, Instance};
use crate::plan::attachment::Attachment;
use crate::plan::expand::{Expanded, expand};
use crate::plan::idmap;
use crate::plan::interception::plan_interception;
use crate::plan::limits::{parse_memory, plan_limits};
use crate::plan::nic::Nic;
use crate::plan::requirements;
use crate::plan::start::{StartPlan, plan_disks, plan_start};
use crate::plan::syscalls::plan_syscalls;
use crate::runtime::{Prepared, Running};
use crate::saga::instance_volume;

/// Why an instance is started, for the event that tells of it.
#[derive(Debug)]
pub enum Started {
    /// Somebody asked.
    By(Requestor),
    /// Somebody asked for a restart.
    Again(Requestor),
    /// Its init asked for a reboot.
    Rebooted,
    /// It ran when the host went down.
    Automatically,
}

impl Started {
    fn event(self) -> (&'static str, Option<Requestor>) {
        match self {
            Self::By(who) => ("instance-started", Some(who)),
            Self::Again(who) => ("instance-restarted", Some(who)),
            Self::Rebooted => ("instance-restarted", None),
            Self::Automatically => ("instance-started", None),
        }
    }
}

/// Starts an instance under a permit.
pub async fn start(app: &Arc<App>, why: Started, permit: Permit, id: i64) -> Result<()> {
    let (mut instance, mut expanded) = load(app, id).await?;
    // It said that it was ready in its last life.
    expanded.config.remove(guest::READY);
    let booted = async {
        refuse(&instance, &expanded)?;
        ids::settle_again(app, &mut instance, &expanded.config).await?;
        modules::load(&instance, &expanded.config).await?;
        boot(app, &instance, &expanded).await
    };
    let running = match booted.await {
        Ok(running) => running,
        Err(error) => {
            // A restart that fails leaves it stopped.
            app.guests.close(app, id);
            super::left(app, id, None).await;
            permit.finish(Outcome::Stopped);
            return Err(error);
        }
    };
    // Before the permit is given back: whoever gets it next reads rows that are up to date.
    let now = app.now();
    app.db.post(move |tx| {
        instances::touch(tx, id, &now)?;
        instances::set_keys(
            tx,
            id,
            &[
                ("volatile.last_state.power", "RUNNING".to_owned()),
                (guest::READY, String::new()),
                (template::PENDING, String::new()),
            ],
        )
    });
    permit.finish(Outcome::Started(running));
    pinning::came(app, id);
    if devices::unix::has_any(&expanded) {
        app.devices_changed.notify_one();
    }
    let (action, who) = why.event();
    app.instance_event(action, &instance.project, &instance.name, who);
    Ok(())
}

/// An instance by id, with its profiles applied.
pub async fn load(app: &App, id: i64) -> Result<(Instance, Expanded)> {
    let instance = find_by_id(app, id).await?;
    let project = app.project(&instance.project).await?;
    let known = app.db.read(move |tx| profiles::list(tx, project)).await?;
    let expanded = expand(&instance, &known);
    Ok((instance, expanded))
}

/// Refuses a restart that would end with its first half.
pub(super) async fn check(app: &App, id: i64) -> Result<()> {
    let (instance, expanded) = load(app, id).await?;
    refuse(&instance, &expanded)?;
    ids::check_start(app, &instance, &expanded.config).await?;
    requirements::check(&expanded.config).map_err(|reason| {
        Error::Invalid(format!("instance `{}` can't run: {reason}", instance.name))
    })?;
    plan_limits(&expanded.config, Vec::new(), &app.host).map_err(Error::Invalid)?;
    let devices = volume::resolve(app, &instance.project, &expanded.devices).await?;
    let placed = Expanded {
        devices,
        ..expanded
    };
    let missing = plan_disks(&placed).map_err(Error::Invalid)?;
    blocking(move || check_sources(&missing)).await
}

/// Refuses disks whose sources are not there.
fn check_sources(disks: &[MountSpec]) -> Result<()> {
    let needed = disks.iter().filter(|disk| !disk.optional);
    let missing = needed
        .map(|disk| &disk.source)
        .find(|source| !source.exists());
    missing.map_or(Ok(()), |source| {
        Err(Error::Invalid(format!(
            "the source `{}` of a disk is not there on the host",
            source.display()
        )))
    })
}

/// What its keys alone say against a start.
fn refuse(instance: &Instance, expanded: &Expanded) -> Result<()> {
    if is_true(&expanded.config, "security.protection.start") {
        return Err(Error::Invalid(format!(
            "instance `{}` is protected: unset security.protection.start first",
            instance.name
        )));
    }
    idmap::wanted(&expanded.config).map_err(Error::Invalid)?;
    plan_syscalls(&expanded.config).map_err(Error::Invalid)?;
    plan_interception(&expanded.config).map_err(Error::Invalid)?;
    Ok(())
}

async fn boot(
    app: &Arc<App>,
    instance: &Instance,
    expanded: &Expanded,
) -> Result<Arc<dyn Running>> {
    let scarce = scarce_memory(&expanded.config, app.host.memory);
    let failed = |error: crate::runtime::RuntimeError| {
        Error::failed(format!("start instance `{}`{scarce}", instance.name), error)
    };
    let renamed = instance.config.contains_key(template::PENDING);
    for trigger in renamed
        .then_some(Trigger::Rename)
        .into_iter()
        .chain([Trigger::Start])
    {
        if let Some(due) = template::find(app, instance, trigger).await? {
            template::write(app, instance, expanded, due).await?;
        }
    }
    let rootfs = root(app, instance).await?;
    let placed = Expanded {
        config: expanded.config.clone(),
        devices: volume::resolve(app, &instance.project, &expanded.devices).await?,
    };
    let limits = limits::plan(app, instance, expanded).await?;
    let unmet = limits.unmet.clone();
    let plan =
        plan_start(instance, &placed, rootfs, &app.places, limits).map_err(Error::Invalid)?;
    let StartPlan { mut spec, mut nics } = plan;
    let lxcfs = blocking(lxcfs::mounts).await;
    spec.view = lxcfs.is_empty();
    gate::confine(app, &instance.project, &mut spec.mounts).await?;
    spec.apparmor = apparmor::ensure(app, &instance.name, &expanded.config).await?;
    spec.mounts.extend(lxcfs);
    fill_hwaddrs(app, instance, &mut nics);
    let nics = network::settle_nics(app, &instance.project, nics).await?;
    // A guest that reboots, say, has left its interfaces in the life before.
    network::traces::undo_all(app, instance.id, None).await?;
    spec.devices = devices::unix::at_start(expanded).await?;
    make_directories(app, instance.id).await?;
    spec.devices
        .extend(tpm::at_start(app, instance.id, &expanded.devices).await?);
    guest::open(app, instance, expanded).await?;
    let prepared = app.runtime.prepare(spec).await.map_err(failed)?;
    plug(app, instance, &nics, prepared.as_ref()).await?;
    let running = prepared.release().await.map_err(failed)?;
    let proxies = network::proxy::start_all(app, instance, expanded, running.as_ref());
    if let Err(error) = proxies.await {
        running.kill().await.map_err(failed)?;
        return Err(error);
    }
    if !unmet.is_empty() {
        limits::tell(app, instance, &unmet).await;
    }
    Ok(running)
}

/// What is said with an error where a limit may be its reason: init is killed before it can say anything.
fn scarce_memory(config: &Config, host: u64) -> String {
    const LITTLE: u64 = 16 << 20;
    let limit = config.get("limits.memory");
    let little = limit.filter(|text| parse_memory(text, host).is_some_and(|bytes| bytes < LITTLE));
    little.map_or_else(String::new, |text| {
        format!(" (limits.memory={text} may be too little for it)")
    })
}

async fn root(app: &App, instance: &Instance) -> Result<RootSource> {
    let driver = app.pools.get(&instance.pool)?;
    let volume = instance_volume(instance.id);
    blocking(move || driver.root(volume))
        .await
        .map_err(|error| {
            Error::failed(
                format!("open the root volume of `{}`", instance.name),
                error,
            )
        })
}

/// A NIC that came with a profile after the instance was made has no address yet.
fn fill_hwaddrs(app: &App, instance: &Instance, nics: &mut [Nic]) {
    let is_chosen = |nic: &&mut Nic| !matches!(nic.attachment, Attachment::Infiniband(_));
    let nics = nics.iter_mut().filter(|nic| nic.hwaddr.is_empty());
    for nic in nics.filter(is_chosen) {
        nic.hwaddr = crate::plan::nic::random_hwaddr(app.clock.uuid());
        let (id, key, value) = (
            instance.id,
            format!("volatile.{}.hwaddr", nic.device),
            nic.hwaddr.clone(),
        );
        app.db
            .post(move |tx| instances::set_keys(tx, id, &[(&key, value)]));
    }
}

async fn plug(
    app: &Arc<App>,
    instance: &Instance,
    nics: &[Nic],
    prepared: &dyn Prepared,
) -> Result<()> {
    for nic in nics {
        let value = network::attach(app, instance, nic, prepared.netns()).await?;
        let (id, key) = (instance.id, format!("volatile.{}.host_name", nic.device));
        app.db
            .post(move |tx| instances::set_keys(tx, id, &[(&key, value)]));
    }
    Ok(())
}

async fn make_directories(app: &App, id: i64) -> Result<()> {
    let directories = [app.places.instance_run(id), app.places.instance_logs(id)];
    blocking(move || {
        use std::os::unix::fs::DirBuilderExt as _;
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        directories.iter().try_for_each(|directory| {
            builder.create(directory).map_err(|error| {
                Error::failed(format!("create directory {}", directory.display()), error)
            })
        })
    })
    .await
}
