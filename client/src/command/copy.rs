//! `copy`, `rename`, `move`.

use anyhow::{Result, bail};
use rlxc_api::{
    Instance, InstancePost, InstancePut, InstanceSnapshot, InstanceSource, InstancesPost,
};
use rlxc_client::url;

use super::create::apply_devices;
use super::{instance_or_snapshot, keys, snapshot};
use crate::cli::{CopyArgs, MoveArgs};
use crate::context::Context;

pub(crate) async fn run(context: &Context, args: CopyArgs) -> Result<()> {
    let mut put = put_of(context, &args.source).await?;
    // What is of one instance only must not be of two.
    put.config
        .retain(|key, _| !key.starts_with("volatile.") || key == "volatile.base_image");
    put.config.extend(keys::map(args.config));
    put.ephemeral = args.ephemeral;
    if !args.profiles.is_empty() {
        put.profiles = Some(args.profiles);
    }
    if let Some(pool) = args.storage {
        let root = put.devices.entry("root".to_owned()).or_default();
        root.extend(
            [("type", "disk"), ("path", "/"), ("pool", &pool)]
                .map(|(key, value)| (key.to_owned(), value.to_owned())),
        );
    }
    apply_devices(context, &mut put, &args.devices).await?;
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
        let name = operation
            .iter()
            .filter_map(|operation| operation.resources.get("instances"))
            .flatten()
            .next();
        context
            .printer
            .line(&name.map_or_else(String::new, |url| url::last(url)))?;
    }
    Ok(())
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

pub(crate) async fn relocate(context: &Context, args: MoveArgs) -> Result<()> {
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
