//! What may help after an error.

use std::io::ErrorKind;

use rlxc_api::size::ByteSize;
use rlxc_api::{ResourcesStoragePool, StoragePool};
use rlxc_client::{ClientError, url};
use strsim::damerau_levenshtein;

use crate::context::Context;

/// How many names are suggested.
const SUGGESTIONS: usize = 3;

/// Hints for an error; the daemon is asked what names there are.
pub(crate) async fn find(context: &Context, error: &anyhow::Error) -> Vec<String> {
    let text = error.to_string().to_lowercase();
    if text.contains("did you mean") || text.contains("--force") {
        // The daemon knew better already.
        return Vec::new();
    }
    match error
        .chain()
        .find_map(|cause| cause.downcast_ref::<ClientError>())
    {
        Some(ClientError::Connect { path, source }) => not_running(path, source.kind()),
        Some(ClientError::Refused {
            code: 404,
            path,
            message,
        }) => names_near(context, path, message).await,
        Some(ClientError::Refused { code: 412, .. }) => {
            vec![
                "somebody else changed it meanwhile: look at it again, then repeat the change"
                    .to_owned(),
            ]
        }
        Some(
            ClientError::Refused {
                code: 400, message, ..
            }
            | ClientError::Operation { message, .. },
        ) => {
            if is_full(message) {
                full_pools(context).await
            } else {
                refused(message)
            }
        }
        Some(ClientError::Unreachable { .. }) => vec![
            "is the host up, and does its daemon listen? There: `rlxc config get core.https_address`, here: `rlxc remote list`"
                .to_owned(),
        ],
        Some(ClientError::OtherCertificate { .. }) => vec![
            "if the server was set up anew, remove the remote and add it again; if not, somebody else answers in its place"
                .to_owned(),
        ],
        Some(ClientError::Refused { code: 403, .. }) if context.remote != crate::remote::LOCAL => {
            vec![format!(
                "`{}` does not trust this client, or not for this: `rlxc config trust list` there shows whom it trusts",
                context.remote
            )]
        }
        Some(ClientError::Http { .. }) => {
            vec!["the daemon ended meanwhile: instances run on, `rlxc list` shows them once it is back".to_owned()]
        }
        _ => Vec::new(),
    }
}

fn not_running(path: &std::path::Path, kind: ErrorKind) -> Vec<String> {
    let start = "start the daemon: `systemctl start rlxcd`, or without systemd `rlxcd &` as root";
    match kind {
        ErrorKind::NotFound => vec![
            format!(
                "rlxcd is not running, or its directory is not {}",
                parent(path)
            ),
            start.to_owned(),
        ],
        ErrorKind::ConnectionRefused => vec!["rlxcd is not running".to_owned(), start.to_owned()],
        ErrorKind::PermissionDenied => {
            vec!["join the group that may use it: `sudo usermod -aG rlxc $USER`, then log in again; or use sudo".to_owned()]
        }
        _ => Vec::new(),
    }
}

fn parent(path: &std::path::Path) -> String {
    path.parent().unwrap_or(path).display().to_string()
}

/// The words of strerror(3) for ENOSPC and EDQUOT.
fn is_full(message: &str) -> bool {
    ["No space left on device", "Disk quota exceeded"]
        .iter()
        .any(|words| message.contains(words))
}

/// Which storage pools have nothing left.
async fn full_pools(context: &Context) -> Vec<String> {
    let pools: Vec<StoragePool> = match context.client.get("/1.0/storage-pools?recursion=1").await {
        Ok(pools) => pools,
        Err(_) => return Vec::new(),
    };
    let mut hints = Vec::new();
    for pool in pools {
        let path = format!("/1.0/storage-pools/{}/resources", url::encode(&pool.name));
        let Ok(left) = context.client.get::<ResourcesStoragePool>(&path).await else {
            continue;
        };
        let (space, inodes) = (&left.space, &left.inodes);
        let no_inodes = inodes.total > 0 && inodes.used >= inodes.total;
        if space.total.saturating_sub(space.used) < space.total / 50 || no_inodes {
            hints.push(format!(
                "storage pool `{}` is full: {} of {} are in use; delete snapshots and instances that nobody needs, or make it larger",
                pool.name,
                ByteSize(space.used).human(),
                ByteSize(space.total).human()
            ));
        }
    }
    hints
}

fn refused(message: &str) -> Vec<String> {
    let message = message.to_lowercase();
    let lacks_pool = ["root disk", "no storage pool", "storage pool not found"];
    if lacks_pool.iter().any(|words| message.contains(words)) {
        return vec![
            "`rlxc admin init --auto` makes a storage pool, a bridge and the default profile"
                .to_owned(),
        ];
    }
    Vec::new()
}

/// For `/1.0/KIND/NAME…` that is not there: names of that kind that are spelled alike.
async fn names_near(context: &Context, path: &str, message: &str) -> Vec<String> {
    if lacks_name(path) {
        return vec!["a name on the command line is empty".to_owned()];
    }
    let Some((collection, wanted)) = missing(path, message) else {
        return Vec::new();
    };
    let Ok(urls) = context.client.get::<Vec<String>>(&collection).await else {
        return Vec::new();
    };
    let names: Vec<String> = urls.iter().map(|url| url::last(url)).collect();
    if names.contains(&wanted) {
        // It is something of it that is missing.
        return Vec::new();
    }
    did_you_mean(&wanted, names.iter().map(String::as_str))
        .into_iter()
        .collect()
}

/// Whether a segment of the path is empty, where a name should stand.
fn lacks_name(path: &str) -> bool {
    let path = path.split('?').next().unwrap_or(path);
    path.split('/').skip(1).any(str::is_empty)
}

/// What is not there: the collection that it would be in, and its name.
fn missing(path: &str, message: &str) -> Option<(String, String)> {
    let of_path = split(path);
    let Some((kind, name)) = quoted(message) else {
        // Daemons of others don't say what.
        return of_path;
    };
    // What the path names may be there, and something in it not; or a request names others in its body.
    let is_it = |wanted: &str| {
        name.strip_suffix(wanted)
            .is_some_and(|above| above.is_empty() || above.ends_with('/'))
    };
    if let Some(found) = of_path.filter(|(_, wanted)| kind != "file" && is_it(wanted)) {
        return Some(found);
    }
    Some((collection_of(kind)?.to_owned(), name.to_owned()))
}

/// The collection and the name of what a path is about.
fn split(path: &str) -> Option<(String, String)> {
    let path = path.split('?').next()?;
    let mut segments = path.strip_prefix("/1.0/")?.split('/');
    let kind = segments.next()?;
    let mut name = segments.next()?;
    let mut collection = format!("/1.0/{kind}");
    let deeper: Vec<&str> = segments.collect();
    if kind == "images" && name == "aliases" {
        collection.push_str("/aliases");
        name = deeper.first()?;
    } else if let ("instances", ["snapshots", snapshot, ..]) = (kind, deeper.as_slice()) {
        collection = format!("/1.0/instances/{name}/snapshots");
        name = snapshot;
    }
    Some((collection, url::decode(name)))
}

/// The kind and the name in "profile `wep` not found" and the like.
fn quoted(message: &str) -> Option<(&str, &str)> {
    let (before, rest) = message.split_once(['`', '"'])?;
    let (name, _) = rest.split_once(['`', '"'])?;
    Some((before.trim(), name))
}

/// Where things of a kind are listed.
fn collection_of(kind: &str) -> Option<&'static str> {
    let kind = kind.to_lowercase();
    match kind.rsplit([' ', ':']).next()? {
        "profile" => Some("/1.0/profiles"),
        "network" => Some("/1.0/networks"),
        "pool" => Some("/1.0/storage-pools"),
        "project" => Some("/1.0/projects"),
        "instance" => Some("/1.0/instances"),
        _ => None,
    }
}

/// "Did you mean …?", where some of `names` are close to `wanted`.
pub(crate) fn did_you_mean<'a>(
    wanted: &str,
    names: impl Iterator<Item = &'a str>,
) -> Option<String> {
    let lower = wanted.to_lowercase();
    let limit = (lower.chars().count() / 3).clamp(1, 4);
    let mut near: Vec<(usize, &str)> = names
        .filter(|name| *name != wanted)
        .filter_map(|name| {
            let candidate = name.to_lowercase();
            let distance = damerau_levenshtein(&lower, &candidate);
            let begins = lower.len() >= 3 && candidate.starts_with(&lower);
            (distance <= limit || begins).then_some((distance, name))
        })
        .collect();
    near.sort_unstable();
    near.dedup();
    let names: Vec<String> = near
        .into_iter()
        .take(SUGGESTIONS)
        .map(|(_, name)| format!("`{name}`"))
        .collect();
    (!names.is_empty()).then(|| format!("did you mean {}?", names.join(" or ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_what_is_spelled_alike() {
        let names = ["debian/12", "debian/13", "alpine"];
        assert_eq!(
            did_you_mean("debain/13", names.into_iter()).as_deref(),
            Some("did you mean `debian/13` or `debian/12`?")
        );
        assert_eq!(did_you_mean("fedora", names.into_iter()), None);
    }

    #[test]
    fn finds_the_collection_of_a_path() {
        assert_eq!(
            split("/1.0/instances/c1/state"),
            Some(("/1.0/instances".into(), "c1".into()))
        );
        assert_eq!(
            split("/1.0/instances/c1/snapshots/s0"),
            Some(("/1.0/instances/c1/snapshots".into(), "s0".into()))
        );
        assert_eq!(
            split("/1.0/images/aliases/a%2Fb"),
            Some(("/1.0/images/aliases".into(), "a/b".into()))
        );
        assert_eq!(split("/1.0/instances"), None);
    }

    #[test]
    fn a_path_without_a_name_is_told() {
        assert!(lacks_name("/1.0/instances/c1/snapshots/"));
        assert!(lacks_name("/1.0/networks//forwards/x"));
        assert!(!lacks_name("/1.0/instances/c1"));
        assert!(!lacks_name("/1.0/instances/c1/files?path=//x"));
    }

    #[test]
    fn finds_what_is_missing() {
        let found = |path, message| missing(path, message);
        let some = |collection: &str, name: &str| Some((collection.to_owned(), name.to_owned()));
        let c1 = "/1.0/instances/c1";
        assert_eq!(
            found(c1, "instance `c1` not found"),
            some("/1.0/instances", "c1")
        );
        assert_eq!(found(c1, "Not Found"), some("/1.0/instances", "c1"));
        assert_eq!(
            found(
                "/1.0/instances/c1/snapshots/s0",
                "snapshot `c1/s0` not found"
            ),
            some("/1.0/instances/c1/snapshots", "s0")
        );
        for path in ["/1.0/instances", c1] {
            assert_eq!(
                found(path, "profile `wep` not found"),
                some("/1.0/profiles", "wep")
            );
        }
        let files = "/1.0/instances/c1/files?path=/hd/c1";
        assert_eq!(found(files, "file `/hd/c1` not found"), None);
        assert_eq!(
            found(files, "instance `c1` not found"),
            some("/1.0/instances", "c1")
        );
    }
}
