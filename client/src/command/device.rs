//! `config device` and `profile device`.

use anyhow::{Context as _, Result, ensure};
use rlxc_api::DevicesMap;
use rlxc_client::url;
use serde_json::{Value, json};

use super::{keys, object};
use crate::cli::{DeviceVerb, Pair};
use crate::context::Context;

/// Whose devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Instance,
    Profile,
}

/// An owner with its devices, to be changed and put back.
struct Owned {
    path: String,
    etag: Option<String>,
    object: Value,
    devices: DevicesMap,
}

impl Owned {
    async fn get(context: &Context, owner: Owner, name: &str) -> Result<Self> {
        let path = match owner {
            Owner::Instance => url::instance(name),
            Owner::Profile => object("profiles", name),
        };
        let tagged = context.client.get_tagged::<Value>(&path).await?;
        let devices = devices(&tagged.value, "devices")?;
        Ok(Self {
            path,
            etag: tagged.etag,
            object: tagged.value,
            devices,
        })
    }

    fn device(&mut self, name: &str) -> Result<&mut std::collections::BTreeMap<String, String>> {
        let inherited = self.object["expanded_devices"].get(name).is_some();
        self.devices.get_mut(name).with_context(|| {
            if inherited {
                format!("device `{name}` comes from a profile: use `rlxc config device override`, or change the profile")
            } else {
                format!("there is no device `{name}`")
            }
        })
    }

    async fn put(mut self, context: &Context) -> Result<()> {
        self.object["devices"] = json!(self.devices);
        let reply = context
            .client
            .put(&self.path, &self.object, self.etag.as_deref())
            .await?;
        context.finish(reply, "Changing the devices").await?;
        Ok(())
    }
}

fn devices(object: &Value, field: &str) -> Result<DevicesMap> {
    Ok(serde_json::from_value::<Option<DevicesMap>>(object[field].clone())?.unwrap_or_default())
}

pub(crate) async fn run(context: &Context, owner: Owner, verb: DeviceVerb) -> Result<()> {
    let of = async |name: &str| Owned::get(context, owner, name).await;
    match verb {
        DeviceVerb::Add(args) => {
            let mut device = keys::map(args.keys);
            device.insert("type".to_owned(), args.kind);
            add(context, owner, &args.owner, args.device, device).await
        }
        DeviceVerb::Remove(args) => {
            let mut holder = of(&args.owner).await?;
            for name in &args.devices {
                holder.device(name)?;
                holder.devices.remove(name);
            }
            holder.put(context).await
        }
        DeviceVerb::List(args) => {
            let holder = of(&args.owner).await?;
            holder
                .devices
                .keys()
                .try_for_each(|name| context.printer.line(name))
        }
        DeviceVerb::Show(args) => context.yaml(&of(&args.owner).await?.devices),
        DeviceVerb::Get(args) => {
            let mut holder = of(&args.owner).await?;
            let value = holder.device(&args.device)?.get(&args.key).cloned();
            context.printer.line(&value.unwrap_or_default())
        }
        DeviceVerb::Set(args) => {
            let mut holder = of(&args.owner).await?;
            holder
                .device(&args.device)?
                .extend(keys::map(keys::pairs(&args.words)?));
            holder.put(context).await
        }
        DeviceVerb::Unset(args) => {
            let mut holder = of(&args.owner).await?;
            let found = holder.device(&args.device)?.remove(&args.key);
            ensure!(found.is_some(), "`{}` is not set", args.key);
            holder.put(context).await
        }
        DeviceVerb::Override(args) => {
            let holder = of(&args.owner).await?;
            take_over(context, holder, args.device, args.keys).await
        }
    }
}

/// Gives an instance or a profile a device.
pub(crate) async fn add(
    context: &Context,
    owner: Owner,
    name: &str,
    device: String,
    keys: std::collections::BTreeMap<String, String>,
) -> Result<()> {
    let mut holder = Owned::get(context, owner, name).await?;
    ensure!(
        !holder.devices.contains_key(&device),
        "there is a device `{device}` already"
    );
    holder.devices.insert(device, keys);
    holder.put(context).await
}

/// Takes the one device away that `fits`; `device` tells which, where there are several.
pub(crate) async fn remove_where(
    context: &Context,
    owner: Owner,
    name: &str,
    device: Option<&str>,
    fits: impl Fn(&std::collections::BTreeMap<String, String>) -> bool,
) -> Result<()> {
    let mut holder = Owned::get(context, owner, name).await?;
    let found: Vec<String> = holder
        .devices
        .iter()
        .filter(|(name, keys)| device.is_none_or(|device| device == *name) && fits(keys))
        .map(|(name, _)| name.clone())
        .collect();
    match &found[..] {
        [one] => holder.devices.remove(one),
        [] => anyhow::bail!("`{name}` has no such device of its own"),
        several => anyhow::bail!("name one of the devices {}", several.join(", ")),
    };
    holder.put(context).await
}

async fn take_over(
    context: &Context,
    mut holder: Owned,
    name: String,
    pairs: Vec<Pair>,
) -> Result<()> {
    ensure!(
        !holder.devices.contains_key(&name),
        "device `{name}` is the instance's own already: use `set`"
    );
    let mut device = devices(&holder.object, "expanded_devices")?
        .remove(&name)
        .with_context(|| format!("no profile has a device `{name}`"))?;
    device.extend(keys::map(pairs));
    holder.devices.insert(name, device);
    holder.put(context).await
}
