//! Asks a daemon what there is.

use std::time::Duration;

use anyhow::{Context as _, Result};
use rlxc_client::{Connection, url};
use serde_json::Value;

use crate::remote::Remotes;

/// Whoever types does not wait longer.
const PATIENCE: Duration = Duration::from_millis(800);

/// Where names are.
pub(super) struct Source {
    pub(super) path: String,
    pub(super) read: Read,
}

/// How names are read from what is at a path.
#[derive(Debug, Clone, Copy)]
pub(super) enum Read {
    /// The last part of each URL.
    Names,
    /// The names of custom volumes, and TYPE/NAME of others.
    Volumes,
    /// The devices of an object.
    Devices,
    /// The keys of a kind of things; see [`super::kind`].
    Keys { of: &'static str, with_value: bool },
}

pub(super) fn ask(
    remotes: &Remotes,
    remote: &str,
    project: Option<String>,
    source: &Source,
) -> Result<Vec<String>> {
    let endpoint = remotes.endpoint(remote)?;
    let project = project
        .or_else(|| std::env::var("RLXC_PROJECT").ok())
        .filter(|project| !project.is_empty())
        .or_else(|| remotes.project(remote).map(str::to_owned))
        .or_else(|| endpoint.own_project());
    let client = Connection::new(endpoint, project);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let answer: Value = runtime
        .block_on(async { tokio::time::timeout(PATIENCE, client.get(&source.path)).await })
        .context("the daemon takes too long")??;
    runtime.shutdown_background();
    Ok(read(source.read, &answer))
}

fn read(how: Read, answer: &Value) -> Vec<String> {
    match how {
        Read::Names => urls(answer).into_iter().map(url::last).collect(),
        Read::Volumes => urls(answer).into_iter().filter_map(volume).collect(),
        Read::Devices => {
            let devices = answer["devices"].as_object().into_iter().flatten();
            devices.map(|(name, _)| name.clone()).collect()
        }
        Read::Keys { of, with_value } => keys(answer, of)
            .map(|key| match key.split_once('*') {
                // `user.*`: the rest is free.
                Some((beginning, _)) => beginning.to_owned(),
                None if with_value => format!("{key}="),
                None => key.clone(),
            })
            .collect(),
    }
}

/// Operations come by their state.
fn urls(answer: &Value) -> Vec<&str> {
    let groups = answer.as_object().into_iter().flatten();
    let lists = groups.map(|(_, list)| list).chain([answer]);
    lists
        .filter_map(Value::as_array)
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

fn volume(url: &str) -> Option<String> {
    let (_, volume) = url.split_once("/volumes/")?;
    let (kind, name) = volume.split('?').next()?.split_once('/')?;
    let name = url::decode(name);
    Some(if kind == "custom" {
        name
    } else {
        format!("{kind}/{name}")
    })
}

/// The names of all keys of a kind of things, which stand in groups.
fn keys<'a>(answer: &'a Value, of: &'a str) -> impl Iterator<Item = &'a String> {
    let kinds = answer["configs"].as_object().into_iter().flatten();
    let wanted =
        kinds.filter(move |(kind, _)| *kind == of || of.ends_with('-') && kind.starts_with(of));
    wanted
        .filter_map(|(_, groups)| groups.as_object())
        .flatten()
        .filter_map(|(_, group)| group["keys"].as_array())
        .flatten()
        .filter_map(Value::as_object)
        .flat_map(serde_json::Map::keys)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_read() {
        let operations =
            json!({"running": ["/1.0/operations/a"], "success": ["/1.0/operations/b"]});
        assert_eq!(read(Read::Names, &operations), ["a", "b"]);
        let volumes = json!([
            "/1.0/storage-pools/p/volumes/custom/data?project=x",
            "/1.0/storage-pools/p/volumes/container/c1"
        ]);
        assert_eq!(read(Read::Volumes, &volumes), ["data", "container/c1"]);
    }

    #[test]
    fn keys_are_read() {
        let all = json!({"configs": {
            "instance": {"limits": {"keys": [{"limits.cpu": {}}, {"user.*": {}}]}},
            "device-disk": {"conf": {"keys": [{"path": {}}]}},
        }});
        let read = |of, with_value| read(Read::Keys { of, with_value }, &all);
        assert_eq!(read("instance", true), ["limits.cpu=", "user."]);
        assert_eq!(read("device-", false), ["path"]);
        assert!(read("project", false).is_empty());
    }
}
