//! `launch` and `create`.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use rlxc_api::{
    DevicesMap, Instance, InstancePut, InstanceSource, InstancesPost, Operation, Profile,
};
use rlxc_client::{ClientError, url};

use super::image_source::{self, Wanted};
use super::{exec, object};
use crate::cli::{CreateArgs, LaunchArgs, Pair};
use crate::context::Context;
use crate::document;

pub(crate) async fn launch(context: &Context, args: LaunchArgs) -> Result<()> {
    let console = args.console;
    let name = make(context, args.create, true).await?;
    context.printer.done(&format!("Launched {name}"))?;
    if console {
        exec::console(context, &name, false, false).await?;
    }
    Ok(())
}

pub(crate) async fn create(context: &Context, args: CreateArgs) -> Result<()> {
    let name = make(context, args, false).await?;
    context.printer.done(&format!("Created {name}"))
}

async fn make(context: &Context, args: CreateArgs, start: bool) -> Result<String> {
    let (image, name) = names(&args);
    let wanted = image
        .map(|image| image_source::parse(context, &image))
        .transpose()?;
    let mut post = request(context, args, name, start).await?;
    let label = match post.name.as_str() {
        "" => "Creating".to_owned(),
        name => format!("Creating {name}"),
    };
    post.source = match &wanted {
        None => InstanceSource {
            kind: "none".to_owned(),
            ..InstanceSource::default()
        },
        // The common case costs one request: the daemon looks the alias up itself.
        Some(Wanted::Here(alias)) => image_source::alias(alias),
        Some(Wanted::There { .. }) => InstanceSource::default(),
    };
    if let Some(wanted @ Wanted::There { .. }) = &wanted {
        post.source = image_source::obtain(context, wanted)
            .await?
            .context("find the image")?;
    }
    let operation = match (send(context, &post, &label).await, &wanted) {
        (Err(error), Some(wanted @ Wanted::Here(_))) if is_missing(&error) => {
            match image_source::obtain(context, wanted).await? {
                Some(source) => {
                    post.source = source;
                    send(context, &post, &label).await?
                }
                // The image is there: it is something else that was not found.
                None => return Err(error.into()),
            }
        }
        (sent, _) => sent?,
    };
    let from_server = operation
        .as_ref()
        .and_then(|operation| operation.resources.get("instances"))
        .and_then(|urls| urls.first())
        .map(|url| url::last(url));
    Ok(from_server.unwrap_or(post.name))
}

async fn send(
    context: &Context,
    post: &InstancesPost,
    label: &str,
) -> Result<Option<Operation>, ClientError> {
    let reply = context.client.post("/1.0/instances", post).await?;
    context.finish(reply, label).await
}

/// Whether it may be the image that was not found: at once, or when the daemon looked for it.
fn is_missing(error: &ClientError) -> bool {
    match error {
        ClientError::Operation { message, .. } => {
            let message = message.to_lowercase();
            message.contains("image") && message.contains("not found")
        }
        error => error.is_not_found(),
    }
}

/// Image and name; with `--empty` the one word is the name.
fn names(args: &CreateArgs) -> (Option<String>, String) {
    if args.empty {
        let name = args.name.clone().or_else(|| args.image.clone());
        return (None, name.unwrap_or_default());
    }
    (args.image.clone(), args.name.clone().unwrap_or_default())
}

async fn request(
    context: &Context,
    args: CreateArgs,
    name: String,
    start: bool,
) -> Result<InstancesPost> {
    let given = document::given::<InstancePut, Instance>(&context.printer)?;
    let mut put = given.unwrap_or_default();
    if args.no_profiles {
        put.profiles = Some(Vec::new());
    } else if !args.profiles.is_empty() {
        put.profiles = Some(args.profiles);
    }
    put.config.extend(
        args.config
            .into_iter()
            .map(|Pair { key, value }| (key, value)),
    );
    put.ephemeral |= args.ephemeral;
    if let Some(description) = args.description {
        put.description = description;
    }
    if let Some(pool) = args.storage {
        put.devices.insert(
            "root".to_owned(),
            device(&[("type", "disk"), ("path", "/"), ("pool", &pool)]),
        );
    }
    if let Some(network) = args.network {
        put.devices.insert(
            "eth0".to_owned(),
            device(&[("type", "nic"), ("name", "eth0"), ("network", &network)]),
        );
    }
    apply_devices(context, &mut put, &args.devices).await?;
    Ok(InstancesPost {
        put,
        name,
        instance_type: args.instance_type.unwrap_or_default(),
        kind: "container".to_owned(),
        start,
        ..InstancesPost::default()
    })
}

fn device(keys: &[(&str, &str)]) -> BTreeMap<String, String> {
    keys.iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// `-d DEVICE,KEY=VALUE`: changes a device of the instance, or takes that of a profile over and changes it.
pub(crate) async fn apply_devices(
    context: &Context,
    put: &mut InstancePut,
    options: &[String],
) -> Result<()> {
    let mut inherited: Option<DevicesMap> = None;
    for option in options {
        let (name, keys) = option
            .split_once(',')
            .with_context(|| format!("`{option}` is not DEVICE,KEY=VALUE"))?;
        let pairs = keys
            .split(',')
            .map(|pair| {
                pair.parse()
                    .map_err(|error| anyhow::anyhow!("`{option}`: {error}"))
            })
            .collect::<Result<Vec<Pair>>>()?;
        if !put.devices.contains_key(name) {
            if inherited.is_none() {
                inherited = Some(of_profiles(context, put.profiles.as_deref()).await?);
            }
            let found = inherited
                .as_ref()
                .and_then(|devices| devices.get(name))
                .cloned();
            put.devices
                .insert(name.to_owned(), found.unwrap_or_default());
        }
        let device = put.devices.entry(name.to_owned()).or_default();
        device.extend(pairs.into_iter().map(|Pair { key, value }| (key, value)));
        ensure!(
            device.contains_key("type"),
            "device `{name}` is in no profile: give its type, as in `-d {name},type=disk`"
        );
    }
    Ok(())
}

async fn of_profiles(context: &Context, profiles: Option<&[String]>) -> Result<DevicesMap> {
    let default = ["default".to_owned()];
    let mut devices = DevicesMap::new();
    for profile in profiles.unwrap_or(&default) {
        devices.extend(
            context
                .client
                .get::<Profile>(&object("profiles", profile))
                .await?
                .put
                .devices,
        );
    }
    Ok(devices)
}
