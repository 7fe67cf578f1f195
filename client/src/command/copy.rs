//! `copy`, `rename`, `move`.

use anyhow::{Result, bail};
use rlxc_api::{
    Instance, InstancePost, InstancePut, InstanceSnapshot, InstanceSnapshotPost, InstanceSource,
    InstancesPost, Operation, StatusCode,
};
use rlxc_client::url;

use super::create::apply_devices;
use super::travel::{self, Journey};
use super::{instance_or_snapshot, keys, snapshot};
use crate::cli::{CopyArgs, MoveArgs, TravelMode};
use crate::context::Context;

pub(crate) async fn run(context: &Context, args: CopyArgs) -> Result<()> {
    let (put, chosen) = wanted(context, &args).await?;
    if let Some(remote) = args.to {
        let to = context.elsewhere(&remote, args.target_project)?;
        let order = Order {
            name: args.target.unwrap_or_else(|| own_name(&args.source)),
            source: args.source,
            put,
            chosen,
            instance_only: args.instance_only,
            refresh: args.refresh,
            mode: args.mode,
        };
        return Box::pin(travel::copy(context, &to, &order.journey()?)).await;
    }
    let path = match &args.target_project {
        Some(project) => url::with_query("/1.0/instances", "project", project),
        None => "/1.0/instances".to_owned(),
    };
    let source_project = args
        .target_project
        .as_ref()
        .map(|_| context.project.clone());
    let name = match (args.target, &args.target_project) {
        (None, Some(_)) if !args.source.contains('/') => args.source.clone(),
        (target, _) => target.unwrap_or_default(),
    };
    let body = InstancesPost {
        put,
        name,
        source: InstanceSource {
            kind: "copy".to_owned(),
            source: args.source.clone(),
            instance_only: args.instance_only,
            refresh: args.refresh,
            project: source_project.unwrap_or_default(),
            ..InstanceSource::default()
        },
        ..InstancesPost::default()
    };
    let reply = context.client.post(&path, &body).await?;
    let operation = context
        .finish(reply, &format!("Copying {}", args.source))
        .await?;
    if body.name.is_empty() {
        print_name(context, operation.as_ref())?;
    }
    Ok(())
}

/// What the copy shall be, and what of that the user has typed: keys, and names of devices.
async fn wanted(context: &Context, args: &CopyArgs) -> Result<(InstancePut, Vec<String>)> {
    let mut put = put_of(context, &args.source).await?;
    strip(&mut put);
    let typed = keys::map(args.config.clone());
    let mut chosen: Vec<String> = typed.keys().cloned().collect();
    put.config.extend(typed);
    put.ephemeral = args.ephemeral;
    if !args.profiles.is_empty() {
        put.profiles = Some(args.profiles.clone());
    }
    if let Some(pool) = &args.storage {
        set_pool(&mut put, pool);
        chosen.push(ROOT.to_owned());
    }
    let devices = args.devices.iter();
    let named = devices.filter_map(|device| Some(device.split_once(',')?.0.to_owned()));
    chosen.extend(named);
    apply_devices(context, &mut put, &args.devices).await?;
    Ok((put, chosen))
}

/// What goes to another server.
struct Order {
    /// `INSTANCE` or `INSTANCE/SNAPSHOT`.
    source: String,
    /// What it is called there.
    name: String,
    put: InstancePut,
    /// As [`wanted`] has it.
    chosen: Vec<String>,
    instance_only: bool,
    refresh: bool,
    mode: Option<TravelMode>,
}

impl Order {
    fn journey(&self) -> Result<Journey> {
        let source = if self.source.contains('/') {
            serde_json::to_value(InstanceSnapshotPost {
                migration: true,
                ..InstanceSnapshotPost::default()
            })?
        } else {
            serde_json::to_value(InstancePost {
                name: self.source.clone(),
                migration: true,
                instance_only: self.instance_only,
                container_only: self.instance_only,
                ..InstancePost::default()
            })?
        };
        let base_image = self.put.config.get("volatile.base_image");
        let target = InstancesPost {
            put: self.put.clone(),
            name: self.name.clone(),
            source: InstanceSource {
                base_image: base_image.cloned().unwrap_or_default(),
                instance_only: self.instance_only,
                container_only: self.instance_only,
                refresh: self.refresh,
                chosen: self.chosen.clone(),
                ..InstanceSource::default()
            },
            ..InstancesPost::default()
        };
        Ok(Journey {
            label: format!("Copying {}", self.source),
            source: (instance_or_snapshot(&self.source), source),
            target: ("/1.0/instances".to_owned(), serde_json::to_value(target)?),
            mode: self.mode,
        })
    }
}

/// Prints the name that the server has chosen.
fn print_name(context: &Context, operation: Option<&Operation>) -> Result<()> {
    let name = operation
        .and_then(|operation| operation.resources.get("instances"))
        .and_then(|urls| urls.first());
    context
        .printer
        .line(&name.map_or_else(String::new, |url| url::last(url)))
}

/// What a copy is called that nobody gave a name.
fn own_name(source: &str) -> String {
    source.split('/').next().unwrap_or(source).to_owned()
}

async fn put_of(context: &Context, source: &str) -> Result<InstancePut> {
    let path = instance_or_snapshot(source);
    if !source.contains('/') {
        return Ok(context.client.get::<Instance>(&path).await?.put);
    }
    let snapshot: InstanceSnapshot = context.client.get(&path).await?;
    Ok(InstancePut {
        architecture: snapshot.architecture,
        config: snapshot.config,
        devices: snapshot.devices,
        profiles: Some(snapshot.profiles),
        description: snapshot.description,
        ..InstancePut::default()
    })
}

pub(crate) async fn rename(context: &Context, name: &str, new_name: &str) -> Result<()> {
    if let Some((instance, old)) = name.split_once('/') {
        let new = new_name
            .strip_prefix(&format!("{instance}/"))
            .unwrap_or(new_name);
        return snapshot::rename(context, instance, old, new).await;
    }
    let body = InstancePost {
        name: new_name.to_owned(),
        ..InstancePost::default()
    };
    let reply = context.client.post(&url::instance(name), &body).await?;
    context.finish(reply, &format!("Renaming {name}")).await?;
    Ok(())
}

async fn to_project(
    context: &Context,
    source: &str,
    target: Option<String>,
    (project, pool): (String, Option<String>),
) -> Result<()> {
    let body = InstancePost {
        name: target.unwrap_or_else(|| source.to_owned()),
        migration: true,
        project,
        pool: pool.unwrap_or_default(),
        ..InstancePost::default()
    };
    let reply = context.client.post(&url::instance(source), &body).await?;
    context.finish(reply, &format!("Moving {source}")).await?;
    Ok(())
}

/// Copies to another server, and removes the source once the copy is there for good.
async fn emigrate(context: &Context, args: MoveArgs, remote: &str) -> Result<()> {
    let to = context.elsewhere(remote, args.target_project)?;
    let instance: Instance = context.client.get(&url::instance(&args.source)).await?;
    if instance.status_code != StatusCode::Stopped {
        bail!(
            "instance `{}` is running: stop it before it moves to another server",
            args.source
        );
    }
    let mut put = instance.put;
    strip(&mut put);
    let mut chosen = Vec::new();
    if let Some(pool) = &args.storage {
        set_pool(&mut put, pool);
        chosen.push(ROOT.to_owned());
    }
    let order = Order {
        name: args.target.unwrap_or_else(|| args.source.clone()),
        source: args.source,
        put,
        chosen,
        instance_only: args.instance_only,
        refresh: false,
        mode: args.mode,
    };
    Box::pin(travel::copy(context, &to, &order.journey()?)).await?;
    let source = (url::instance(&order.source), &order.source);
    let stays = "the instance was copied, but its source stays";
    travel::remove(context, (&source.0, source.1), stays).await
}

/// What is of one instance only must not be of two.
fn strip(put: &mut InstancePut) {
    put.config
        .retain(|key, _| !key.starts_with("volatile.") || key == "volatile.base_image");
}

/// The device that the root disk is.
const ROOT: &str = "root";

fn set_pool(put: &mut InstancePut, pool: &str) {
    let root = put.devices.entry(ROOT.to_owned()).or_default();
    root.extend(
        [("type", "disk"), ("path", "/"), ("pool", pool)]
            .map(|(key, value)| (key.to_owned(), value.to_owned())),
    );
}

pub(crate) async fn relocate(context: &Context, mut args: MoveArgs) -> Result<()> {
    if let Some(remote) = args.to.take() {
        return emigrate(context, args, &remote).await;
    }
    if let Some(project) = args.target_project {
        return to_project(context, &args.source, args.target, (project, args.storage)).await;
    }
    let Some(pool) = args.storage else {
        let Some(target) = args.target else {
            bail!("give a new name, or a pool with --storage")
        };
        return rename(context, &args.source, &target).await;
    };
    let body = InstancePost {
        name: args.target.unwrap_or_else(|| args.source.clone()),
        migration: true,
        pool,
        ..InstancePost::default()
    };
    let reply = context
        .client
        .post(&url::instance(&args.source), &body)
        .await?;
    context
        .finish(reply, &format!("Moving {}", args.source))
        .await?;
    Ok(())
}
