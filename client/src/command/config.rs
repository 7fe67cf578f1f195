//! `config`.

use anyhow::Result;
use rlxc_api::{Instance, InstancePut, Server, ServerPut};
use rlxc_client::url;
use serde_json::Value;

use super::{device, instance_or_snapshot, keys, metadata, trust};
use crate::cli::ConfigVerb;
use crate::context::Context;

const SERVER: &str = "/1.0";

pub(crate) async fn run(context: &Context, verb: ConfigVerb) -> Result<()> {
    match verb {
        ConfigVerb::Get(args) => {
            let (path, key) = owner(&args.words);
            let field = if args.expanded {
                "expanded_config"
            } else {
                "config"
            };
            keys::get(context, &path, field, key).await
        }
        ConfigVerb::Unset(args) => {
            let (path, key) = owner(&args.words);
            keys::unset(context, &path, key).await
        }
        ConfigVerb::Set(args) => {
            let (path, words) = owner_and_pairs(&args.words)?;
            keys::set(context, &path, keys::pairs(words)?).await
        }
        ConfigVerb::Show(args) => {
            let name = args.name.filter(|name| !name.is_empty());
            show(context, name.as_deref(), args.expanded).await
        }
        ConfigVerb::Metadata(verb) => metadata::run(context, verb).await,
        ConfigVerb::Template(verb) => metadata::run_template(context, verb).await,
        ConfigVerb::Trust(verb) => trust::run(context, verb).await,
        ConfigVerb::Edit(args) => match args.name.filter(|name| !name.is_empty()) {
            Some(name) => {
                let comment = "Configuration of the instance. Keys that are left out are unset.";
                keys::edit::<InstancePut>(context, &url::instance(&name), comment).await
            }
            None => keys::edit::<ServerPut>(context, SERVER, "Configuration of the server.").await,
        },
        ConfigVerb::Device(verb) => device::run(context, device::Owner::Instance, verb).await,
    }
}

fn owner(words: &[String]) -> (String, &str) {
    match words {
        [name, key] if !name.is_empty() => (url::instance(name), key),
        [_, key] | [key] => (SERVER.to_owned(), key),
        _ => (SERVER.to_owned(), ""),
    }
}

/// The first word is an instance unless it is a key: keys have a dot or a value, instances neither.
fn owner_and_pairs(words: &[String]) -> Result<(String, &[String])> {
    match words {
        // What was `box:` is nothing now: the server of a remote.
        [first, rest @ ..] if first.is_empty() && !rest.is_empty() => Ok((SERVER.to_owned(), rest)),
        [first, rest @ ..] if !rest.is_empty() && !first.contains(['=', '.']) => {
            Ok((url::instance(first), rest))
        }
        [only] if !only.contains('=') => anyhow::bail!("`{only}`: expected KEY=VALUE"),
        words => Ok((SERVER.to_owned(), words)),
    }
}

async fn show(context: &Context, name: Option<&str>, expanded: bool) -> Result<()> {
    let Some(name) = name else {
        return context.yaml(&context.client.get::<Server>(SERVER).await?.put);
    };
    if name.contains('/') {
        return context.yaml(
            &context
                .client
                .get::<Value>(&instance_or_snapshot(name))
                .await?,
        );
    }
    let mut instance: Instance = context.client.get(&url::instance(name)).await?;
    if expanded {
        instance.put.config = instance.expanded_config;
        instance.put.devices = instance.expanded_devices;
    }
    context.yaml(&instance.put)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn tells_instances_from_keys() {
        let owner_of = |text: &str| owner_and_pairs(&words(text)).unwrap().0;
        assert_eq!(owner_of("c1 limits.cpu=2"), "/1.0/instances/c1");
        assert_eq!(owner_of("c1 limits.cpu 2"), "/1.0/instances/c1");
        assert_eq!(owner_of("core.https_address=:8443"), "/1.0");
        assert_eq!(owner_of("images.build.mirror http://a/?b=c"), "/1.0");
        assert!(owner_and_pairs(&words("c1")).is_err());
    }
}
