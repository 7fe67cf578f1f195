//! Making an instance: from an image, empty, or as a copy.

use rlxc_sys::idmap::IDS_PER_CONTAINER;
use std::collections::BTreeMap;
use std::sync::Arc;

use rlxc_api::name::InstanceName;
use rlxc_api::{InstanceSource, InstancesPost, Operation, Requestor};
use rlxc_storage::Source;

use super::start::Started;
use super::{ids, quota};
use crate::app::image;
use crate::app::network;
use crate::app::project::gate;
use crate::app::template::{self, Trigger};
use crate::app::volume;
use crate::context::{App, instance_url};
use crate::db::{self, instances, profiles, snapshots};
use crate::error::{Error, Result};
use crate::instance::state::Verb;
use crate::keys;
use crate::model::{Config, Image, Instance, Profile};
use crate::operation::{Handle, OperationSpec};
use crate::plan::limits::check_host;
use crate::plan::{conflicts, expand, nic};
use crate::saga::{self, JournalEntry, Saga, instance_volume};

/// What the root of a new instance is made of.
#[derive(Debug)]
pub(super) enum Origin {
    /// An image that is in the store.
    Image(Box<Image>),
    /// Nothing.
    Empty,
    /// Another instance, or a snapshot of it.
    Copy(Box<super::copy::CopySource>),
    /// An instance that another server sends.
    Arrival(Box<super::migrate::Arrival>),
    /// A backup that comes in.
    Backup(Box<super::backup::BackupSource>),
}

/// A request that was checked.
#[derive(Debug)]
pub(super) struct NewInstance {
    pub(super) project: String,
    pub(super) name: String,
    pub(super) post: InstancesPost,
}

/// Begins to make an instance and returns the operation.
pub async fn create(
    app: &Arc<App>,
    who: &Requestor,
    project: &str,
    post: InstancesPost,
) -> Result<Operation> {
    if post.source.kind == "migration" {
        return super::migrate::receive(app, who, project, post).await;
    }
    if post.source.refresh && !post.name.is_empty() {
        match super::find(app, project, &post.name).await {
            Ok(existing) => return super::refresh::begin(app, who, existing, post),
            Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let new = parse(app, project, post).await?;
    check_kind(&new.post.source)?;
    Ok(begin(app, who, new, "Creating instance", None))
}

/// Begins the operation. Where the instance comes from is found out by it, unless it is known already.
pub(super) fn begin(
    app: &Arc<App>,
    who: &Requestor,
    new: NewInstance,
    description: &'static str,
    origin: Option<Origin>,
) -> Operation {
    let url = instance_url(&new.project, &new.name);
    let spec = OperationSpec::task(description, &new.project, "instances", &url)
        .requested_by(who)
        .cancellable();
    let (app2, who) = (Arc::clone(app), who.clone());
    app.operations.spawn(spec, move |operation| async move {
        let origin = match origin {
            Some(origin) => origin,
            None => resolve(&app2, &who, &new, &operation).await?,
        };
        execute(&app2, &who, new, origin, &operation).await
    })
}

async fn parse(app: &App, project: &str, post: InstancesPost) -> Result<NewInstance> {
    keys::check_instance(&post.put.config).map_err(Error::Invalid)?;
    keys::check_devices(&post.put.devices).map_err(Error::Invalid)?;
    if matches!(post.source.kind.as_str(), "image" | "none") {
        check_host(&Config::new(), &post.put.config, &app.host).map_err(Error::Invalid)?;
    }
    parse_foreign(app, project, post).await
}

/// The same for what another server has written: keys may be unknown here.
pub(super) async fn parse_foreign(
    app: &App,
    project: &str,
    mut post: InstancesPost,
) -> Result<NewInstance> {
    if !post.kind.is_empty() && post.kind != "container" {
        return Err(Error::Invalid(format!(
            "instances of type `{}` can't be made here: rlxc runs containers",
            post.kind
        )));
    }
    let name = if post.name.is_empty() {
        free_name(app, project).await?
    } else {
        post.name.clone()
    };
    let name: InstanceName = name.parse()?;
    check_free(app, project, &name).await?;
    check_profiles(app, project, post.put.profiles.as_deref()).await?;
    post.name.clear();
    Ok(NewInstance {
        project: project.to_owned(),
        name: name.to_string(),
        post,
    })
}

fn check_kind(source: &InstanceSource) -> Result<()> {
    match source.kind.as_str() {
        "image" | "none" | "copy" => Ok(()),
        other => Err(Error::Invalid(format!(
            "source type `{other}` is not known here: there are image, copy, migration and none"
        ))),
    }
}

/// Refuses profiles that are not there before anything is done; the row's own transaction makes sure of it.
async fn check_profiles(app: &App, project: &str, named: Option<&[String]>) -> Result<()> {
    let Some(named) = named.filter(|named| !named.is_empty()) else {
        return Ok(());
    };
    let project = app.project(project).await?;
    let known = app.db.read(move |tx| profiles::list(tx, project)).await?;
    refuse_missing(named, &known)
}

fn refuse_missing(named: &[String], known: &[Profile]) -> Result<()> {
    let is_known = |name: &&String| known.iter().any(|profile| profile.name == **name);
    match named.iter().find(|name| !is_known(name)) {
        Some(missing) => Err(Error::not_found("profile", missing)),
        None => Ok(()),
    }
}

/// Refuses a name that is taken.
pub(super) async fn check_free(app: &App, project: &str, name: &InstanceName) -> Result<()> {
    let (id, key) = (app.project(project).await?, name.to_string());
    let taken = app.db.read(move |tx| instances::exists(tx, id, &key));
    if taken.await? {
        return Err(Error::exists("instance", name.as_str()));
    }
    Ok(())
}

/// A name that nobody has: an adjective and an animal.
async fn free_name(app: &App, project: &str) -> Result<String> {
    const FIRST: &[&str] = &[
        "brave", "calm", "eager", "fair", "gentle", "keen", "lively", "merry", "neat", "proud",
        "quick", "sunny",
    ];
    const SECOND: &[&str] = &[
        "badger", "crane", "dingo", "falcon", "gecko", "heron", "koala", "lynx", "otter", "puffin",
        "robin", "wren",
    ];
    let id = app.project(project).await?;
    loop {
        let random = app.clock.uuid();
        let [a, b, ..] = *random.as_bytes();
        let name = format!(
            "{}-{}",
            FIRST[usize::from(a) % FIRST.len()],
            SECOND[usize::from(b) % SECOND.len()]
        );
        let candidates = [
            name.clone(),
            format!("{name}-{}", &random.simple().to_string()[..6]),
        ];
        for candidate in candidates {
            let key = candidate.clone();
            if !app
                .db
                .read(move |tx| instances::exists(tx, id, &key))
                .await?
            {
                return Ok(candidate);
            }
        }
    }
}

pub(super) async fn execute(
    app: &Arc<App>,
    who: &Requestor,
    new: NewInstance,
    mut origin: Origin,
    operation: &Handle,
) -> Result<BTreeMap<String, serde_json::Value>> {
    let start = new.post.start;
    let mut saga = Saga::new(app, operation.id());
    let made = make(app, &mut saga, &new, &mut origin, operation).await;
    let result = made.and_then(|instance| operation.check().map(|()| instance));
    let settled = match result {
        // The other server removes its own when it hears that this one is on disk.
        Ok(instance) if matches!(origin, Origin::Arrival(_)) => {
            saga.commit_with(|_| Ok(())).await.map(|()| instance)
        }
        result => saga.settle(result).await,
    };
    if let Origin::Arrival(arrival) = origin {
        arrival.end(settled.as_ref().err()).await;
    }
    let instance = settled?;
    let handle = app.instances.add(instance.id, None);
    app.instance_event(
        "instance-created",
        &new.project,
        &new.name,
        Some(who.clone()),
    );
    if start {
        let permit = handle.begin(Verb::Start, &new.name, operation.id()).await?;
        super::start(app, Started::By(who.clone()), permit, instance.id).await?;
    }
    Ok(BTreeMap::new())
}

async fn resolve(
    app: &Arc<App>,
    who: &Requestor,
    new: &NewInstance,
    operation: &Handle,
) -> Result<Origin> {
    let source: &InstanceSource = &new.post.source;
    match source.kind.as_str() {
        "image" => Ok(Origin::Image(Box::new(
            image::resolve(app, who, &new.project, source, operation).await?,
        ))),
        "none" => Ok(Origin::Empty),
        _ => super::copy::resolve(app, &new.project, source, operation.id())
            .await
            .map(|copy| Origin::Copy(Box::new(copy))),
    }
}

async fn make(
    app: &Arc<App>,
    saga: &mut Saga<'_>,
    new: &NewInstance,
    origin: &mut Origin,
    operation: &Handle,
) -> Result<Instance> {
    let mut draft = draft(app, new, origin);
    if let Origin::Arrival(arrival) = origin {
        let snapshots = arrival.snapshots();
        draft = super::migrate::complete(app, draft, snapshots).await?;
    }
    let (instance, size) = record(app, saga, new, draft).await?;
    operation.check()?;
    match origin {
        Origin::Image(image) => {
            image::ensure_on_pool(app, &instance.pool, image, operation).await?;
            let source = Source::Image(image.fingerprint.clone());
            create_volume(app, operation, &instance, source).await?;
        }
        Origin::Empty => create_volume(app, operation, &instance, Source::Empty).await?,
        Origin::Copy(copy) => copy.fill(app, saga, operation, &instance).await?,
        Origin::Arrival(arrival) => arrival.fill(app, &instance, operation).await?,
        Origin::Backup(backup) => backup.fill(app, &instance, operation).await?,
    }
    quota::set(app, &instance, None, size).await?;
    let trigger = match origin {
        Origin::Image(_) => Trigger::Create,
        Origin::Copy(_) | Origin::Arrival(_) => Trigger::Copy,
        // What a backup holds is what was there.
        Origin::Empty | Origin::Backup(_) => return Ok(instance),
    };
    if let Some(due) = template::find(app, &instance, trigger).await? {
        let (instance, expanded) = super::start::load(app, instance.id).await?;
        template::write(app, &instance, &expanded, due).await?;
    }
    Ok(instance)
}

async fn create_volume(
    app: &App,
    operation: &Handle,
    instance: &Instance,
    source: Source,
) -> Result<()> {
    let (driver, volume) = (app.pools.get(&instance.pool)?, instance_volume(instance.id));
    let what = format!(
        "create the root volume of instance `{}` on storage pool `{}`",
        instance.name, instance.pool
    );
    let create = move || driver.create_volume(volume, &source);
    operation.blocking(what, create).await
}

/// Writes the row, and in the same transaction the journal entries that undo it.
async fn record(
    app: &App,
    saga: &mut Saga<'_>,
    new: &NewInstance,
    mut instance: Instance,
) -> Result<(Instance, Option<u64>)> {
    let project = app.project(&new.project).await?;
    let ranges = app.id_ranges.clone();
    let (operation, random, explicit) = (
        saga.operation().to_owned(),
        app.clock.uuid(),
        new.post.put.profiles.clone(),
    );
    let (instance, size, entries) = app
        .db
        .note(move |tx| {
            let known = profiles::list(tx, project)?;
            settle_profiles(&mut instance, &known, explicit.as_deref())?;
            let expanded = expand::expand(&instance, &known);
            let pool = find_pool(tx, &instance.name, &expanded)?;
            volume::check_devices(tx, &instance.project, &expanded.devices)?;
            instance.pool.clone_from(&pool.name);
            ids::settle(tx, &ranges, &mut instance, &expanded.config)?;
            ids::check_change(tx, &ranges, &instance, (&Config::new(), &expanded.config))?;
            network::forget_taken_hwaddrs(tx, &mut instance, &expanded)?;
            let expanded = expand::expand(&instance, &known);
            conflicts::check(&expanded.devices).map_err(Error::Invalid)?;
            network::check_devices(tx, &instance, &expanded, None)?;
            // Those that are chosen at random are nobody's.
            add_hwaddrs(&mut instance, &expanded, random);
            instance.id = instances::insert(tx, project, pool.id, &instance).map_err(|error| {
                if error.is_unique_violation() {
                    Error::exists("instance", &instance.name)
                } else {
                    error.into()
                }
            })?;
            for snapshot in &mut instance.snapshots {
                snapshot.id = snapshots::insert(tx, instance.id, snapshot)?;
            }
            gate::check(tx, project)?;
            let entries = [
                JournalEntry::Instance { id: instance.id },
                JournalEntry::Volume {
                    pool: pool.name,
                    id: instance.id,
                },
            ];
            let entries = entries
                .into_iter()
                .map(|entry| Ok((saga::append(tx, &operation, &entry)?, entry)))
                .collect::<Result<Vec<_>>>()?;
            Ok::<_, Error>((instance, quota::size(&expanded)?, entries))
        })
        .await?;
    for (id, entry) in entries {
        saga.recorded(id, entry);
    }
    Ok((instance, size))
}

/// Profiles that a request names must be there; those of an image may be of a project whose profiles are others.
fn settle_profiles(
    instance: &mut Instance,
    known: &[Profile],
    explicit: Option<&[String]>,
) -> Result<()> {
    expand::refuse_twice(explicit.unwrap_or_default()).map_err(Error::Invalid)?;
    if let Some(named) = explicit {
        return refuse_missing(named, known);
    }
    if refuse_missing(&instance.profiles, known).is_err() {
        instance.profiles = vec!["default".to_owned()];
    }
    Ok(())
}

fn draft(app: &App, new: &NewInstance, origin: &Origin) -> Instance {
    let put = &new.post.put;
    let mut instance = match origin {
        Origin::Backup(backup) => backup.draft(),
        _ => empty_draft(app, new),
    };
    match origin {
        Origin::Image(image) => {
            instance.architecture.clone_from(&image.architecture);
            instance
                .config
                .insert("volatile.base_image".to_owned(), image.fingerprint.clone());
            let properties = image
                .properties
                .iter()
                .map(|(key, value)| (format!("image.{key}"), value.clone()));
            instance.config.extend(properties);
            if put.profiles.is_none() {
                instance.profiles.clone_from(&image.profiles);
            }
        }
        Origin::Empty => std::env::consts::ARCH.clone_into(&mut instance.architecture),
        Origin::Copy(copy) => copy.inherit(&mut instance, put),
        Origin::Arrival(_) => instance.architecture.clone_from(&put.architecture),
        Origin::Backup(_) => {}
    }
    instance
        .config
        .insert("volatile.uuid".to_owned(), app.clock.uuid().to_string());
    instance
}

fn empty_draft(app: &App, new: &NewInstance) -> Instance {
    let put = &new.post.put;
    Instance {
        id: 0,
        project: new.project.clone(),
        name: new.name.clone(),
        architecture: String::new(),
        description: put.description.clone(),
        ephemeral: put.ephemeral,
        pool: String::new(),
        idmap_base: None,
        idmap_size: IDS_PER_CONTAINER,
        created_at: app.now(),
        last_used_at: None,
        config: put.config.clone(),
        devices: put.devices.clone(),
        profiles: put
            .profiles
            .clone()
            .unwrap_or_else(|| vec!["default".to_owned()]),
        snapshots: Vec::new(),
    }
}

fn find_pool(
    tx: &rusqlite::Transaction<'_>,
    name: &str,
    expanded: &expand::Expanded,
) -> Result<crate::model::Pool> {
    let Some((_, root)) = expand::root_disk(&expanded.devices) else {
        return Err(Error::Invalid(format!(
            "instance `{name}` has no root disk: add one to its profile with \
             `rlxc profile device add default root disk path=/ pool=POOL`, or pass `--storage POOL`; \
             `rlxc admin init` sets all this up on a new server"
        )));
    };
    let pool = root.get("pool").cloned().unwrap_or_default();
    db::pools::find(tx, &pool)?.ok_or_else(|| Error::not_found("storage pool", pool))
}

fn add_hwaddrs(instance: &mut Instance, expanded: &expand::Expanded, random: uuid::Uuid) {
    let mut random = random;
    for (device, keys) in &expanded.devices {
        let key = format!("volatile.{device}.hwaddr");
        let is_nic = keys.get("type").is_some_and(|kind| kind == "nic");
        if is_nic && !keys.contains_key("hwaddr") && !instance.config.contains_key(&key) {
            instance.config.insert(key, nic::random_hwaddr(random));
            random = uuid::Uuid::from_u128(random.as_u128().rotate_left(24));
        }
    }
}
