//! `admin init`: gives the daemon what it needs, and leaves alone what it has.

mod apply;
mod dump;

use anyhow::{Result, bail};
use rlxc_api::{
    InitNetworksProjectPost, InitPreseed, InitProfileProjectPost, Network, NetworkPut,
    NetworksPost, Profile, ProfilesPost, Server, StoragePoolPut, StoragePoolsPost,
};
use rlxc_client::url;

use super::{doctor, object};
use crate::cli::InitArgs;
use crate::context::{Context, is_interactive};
use crate::editor;

const POOL: &str = "default";
/// Bridges that we make have this name with the first number that is free: there may be another daemon on the host.
const BRIDGE: &str = "rlxcbr";

pub(crate) async fn run(context: &Context, args: InitArgs) -> Result<()> {
    if args.dump {
        return context.yaml(&dump::dump(context).await?);
    }
    let preseed = if args.preseed {
        editor::from_stdin()?
    } else {
        let networks: Vec<Network> = context.client.get("/1.0/networks?recursion=1").await?;
        let mut answers = Answers {
            bridge: free_bridge(&networks),
            driver: args.storage_backend,
            source: args.storage_source.unwrap_or_default(),
            network: true,
            ipv4: "auto".to_owned(),
            ipv6: "auto".to_owned(),
        };
        if !args.auto {
            if !is_interactive() {
                bail!("there is nobody to ask here: use --auto or --preseed");
            }
            ask(context, &mut answers).await?;
        }
        plan(context, answers, &networks).await?
    };
    if preseed == InitPreseed::default() {
        context
            .printer
            .note("There is a pool, a bridge and a default profile already.");
        return Ok(());
    }
    let applied = apply::apply(context, &preseed).await;
    if applied.is_err() {
        doctor::point_at(&context.printer);
    }
    applied
}

struct Answers {
    bridge: String,
    driver: Option<String>,
    source: String,
    network: bool,
    ipv4: String,
    ipv6: String,
}

async fn ask(context: &Context, answers: &mut Answers) -> Result<()> {
    let ask = |question: &str, default: &str| -> Result<String> {
        let answer = context.printer.ask(&format!("{question} [{default}]"))?;
        Ok(if answer.is_empty() {
            default.to_owned()
        } else {
            answer
        })
    };
    let (supported, best) = drivers(context).await?;
    if answers.driver.is_none() {
        let question = format!("Storage driver ({})", supported.join(", "));
        answers.driver = Some(ask(&question, &best)?);
    }
    if answers.source.is_empty() {
        let source = ask("Directory or device of the pool", "our own directory")?;
        answers.source = if source == "our own directory" {
            String::new()
        } else {
            source
        };
    }
    answers.network = !ask(&format!("Make the bridge {}?", answers.bridge), "yes")?
        .to_lowercase()
        .starts_with('n');
    if answers.network {
        answers.ipv4 = ask("Its IPv4 address (CIDR, auto or none)", "auto")?;
        answers.ipv6 = ask("Its IPv6 address (CIDR, auto or none)", "auto")?;
    }
    Ok(())
}

/// The storage drivers of this host, and the one to take: the daemon names the best first.
async fn drivers(context: &Context) -> Result<(Vec<String>, String)> {
    let server: Server = context.client.get("/1.0").await?;
    let names: Vec<String> = server
        .environment
        .storage_supported_drivers
        .into_iter()
        .map(|driver| driver.name)
        .collect();
    let best = ["btrfs", "overlay"]
        .into_iter()
        .find(|name| names.first().is_some_and(|first| first == name));
    let best = best
        .map(str::to_owned)
        .or_else(|| names.iter().find(|name| *name == "overlay").cloned());
    let best = best
        .or_else(|| names.first().cloned())
        .unwrap_or_else(|| "dir".to_owned());
    Ok((names, best))
}

/// A name for our bridge that no network and no interface of the host has.
fn free_bridge(networks: &[Network]) -> String {
    let mut names = (0_u32..).map(|number| format!("{BRIDGE}{number}"));
    let is_free = |name: &String| !networks.iter().any(|network| network.name == *name);
    names.find(is_free).unwrap_or_else(|| format!("{BRIDGE}0"))
}

/// What is missing of a pool, a bridge and a profile that uses them.
async fn plan(context: &Context, answers: Answers, networks: &[Network]) -> Result<InitPreseed> {
    let mut preseed = InitPreseed::default();
    let pools: Vec<String> = context.client.get("/1.0/storage-pools").await?;
    let mut pool = POOL.to_owned();
    if let Some(first) = pools.first() {
        pool = if pools.iter().any(|url| url::last(url) == POOL) {
            POOL.to_owned()
        } else {
            url::last(first)
        };
    } else {
        let driver = match answers.driver {
            Some(driver) => driver,
            None => drivers(context).await?.1,
        };
        let mut put = StoragePoolPut::default();
        if !answers.source.is_empty() {
            put.config.insert("source".to_owned(), answers.source);
        }
        preseed.storage_pools.push(StoragePoolsPost {
            put,
            name: pool.clone(),
            driver,
        });
    }
    let managed = networks
        .iter()
        .find(|network| network.managed)
        .map(|network| network.name.clone());
    if managed.is_none() && answers.network {
        let config = [
            ("ipv4.address".to_owned(), answers.ipv4),
            ("ipv6.address".to_owned(), answers.ipv6),
        ];
        let put = NetworkPut {
            config: config.into(),
            ..NetworkPut::default()
        };
        let network = NetworksPost {
            put,
            name: answers.bridge.clone(),
            kind: "bridge".to_owned(),
        };
        preseed.networks.push(InitNetworksProjectPost {
            network,
            project: String::new(),
        });
    }
    let bridge = managed.or_else(|| answers.network.then_some(answers.bridge));
    let profile: Profile = context.client.get(&object("profiles", "default")).await?;
    preseed
        .profiles
        .extend(default_profile(profile, &pool, bridge.as_deref()));
    Ok(preseed)
}

/// The default profile with a root disk and a NIC; `None` where it has both.
fn default_profile(
    profile: Profile,
    pool: &str,
    bridge: Option<&str>,
) -> Option<InitProfileProjectPost> {
    let mut put = profile.put;
    let before = put.devices.clone();
    let device = |keys: &[(&str, &str)]| {
        keys.iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    };
    if !put
        .devices
        .values()
        .any(|device| device.get("path").is_some_and(|path| path == "/"))
    {
        put.devices.insert(
            "root".to_owned(),
            device(&[("type", "disk"), ("path", "/"), ("pool", pool)]),
        );
    }
    if let Some(bridge) = bridge
        && !put
            .devices
            .values()
            .any(|device| device.get("type").is_some_and(|kind| kind == "nic"))
    {
        put.devices.insert(
            "eth0".to_owned(),
            device(&[("type", "nic"), ("name", "eth0"), ("network", bridge)]),
        );
    }
    (put.devices != before).then(|| InitProfileProjectPost {
        profile: ProfilesPost {
            put,
            name: profile.name,
        },
        project: String::new(),
    })
}
