//! What an argument names, and where the daemon lists it.

use rlxc_client::url;

use super::ask::{Read, Source};
use crate::remote::split;

const ACLS: &str = "/1.0/network-acls";
const CERTIFICATES: &str = "/1.0/certificates";
const IMAGES: &str = "/1.0/images/aliases";
const INSTANCES: &str = "/1.0/instances";
const KEYS: &str = "/1.0/metadata/configuration";
const NETWORKS: &str = "/1.0/networks";
const OPERATIONS: &str = "/1.0/operations";
const POOLS: &str = "/1.0/storage-pools";
const PROFILES: &str = "/1.0/profiles";
const PROJECTS: &str = "/1.0/projects";
const WARNINGS: &str = "/1.0/warnings";
const ZONES: &str = "/1.0/network-zones";

/// What an argument names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Something of a collection.
    Of(&'static str),
    /// Something below the thing of a collection that was named before.
    Below(&'static str, &'static str),
    /// A device of the thing of a collection that was named before.
    Devices(&'static str),
    /// A volume of the pool that was named before.
    Volumes,
    /// A snapshot of the volume of the pool, which were named before.
    VolumeSnapshots,
    /// A key that things of this kind have; with a value it ends in `=`.
    Key { of: &'static str, with_value: bool },
    /// An instance, then its key; or a key of the server.
    OwnerThenKey { with_value: bool },
    /// A remote, without a colon.
    Remotes,
}

impl Kind {
    /// Whether it belongs to what was named before, given the words so far.
    pub(super) fn is_within(self, before: &[String]) -> bool {
        match self {
            Self::Of(_) | Self::Remotes => false,
            Self::OwnerThenKey { .. } => !before.is_empty(),
            _ => true,
        }
    }

    /// Whether it is a key and nothing else.
    pub(super) fn is_keys(self) -> bool {
        matches!(self, Self::Key { .. })
    }

    /// What to ask the daemon for.
    pub(super) fn sources(self, before: &[String]) -> Vec<Source> {
        let word = |index: usize| before.get(index).map_or("", |word| split(word).1);
        let owner = |collection: &str| format!("{collection}/{}", url::encode(word(0)));
        let keys = |of, with_value| Source {
            path: KEYS.to_owned(),
            read: Read::Keys { of, with_value },
        };
        let (path, read) = match self {
            Self::Of(collection) => (collection.to_owned(), Read::Names),
            Self::Below(collection, below) => {
                (format!("{}/{below}", owner(collection)), Read::Names)
            }
            Self::Devices(collection) => (owner(collection), Read::Devices),
            Self::Volumes => (format!("{}/volumes", owner(POOLS)), Read::Volumes),
            Self::VolumeSnapshots => {
                let volume = url::encode(word(1));
                let path = format!("{}/volumes/custom/{volume}/snapshots", owner(POOLS));
                (path, Read::Names)
            }
            Self::Key { of, with_value } => return vec![keys(of, with_value)],
            Self::OwnerThenKey { with_value } => {
                return match before.first() {
                    None => vec![
                        keys("server", with_value),
                        Source {
                            path: INSTANCES.to_owned(),
                            read: Read::Names,
                        },
                    ],
                    // `box:`, and keys: they have a dot, names have none.
                    Some(first) if first.contains('.') || word(0).is_empty() => {
                        vec![keys("server", with_value)]
                    }
                    Some(_) => vec![keys("instance", with_value)],
                };
            }
            Self::Remotes => return Vec::new(),
        };
        vec![Source { path, read }]
    }
}

/// What verbs are about, where their arguments don't say.
fn subject(verbs: &[&str]) -> Option<&'static str> {
    Some(match verbs {
        ["config", "trust", ..] => CERTIFICATES,
        ["network", "acl", ..] => ACLS,
        ["network", "zone", ..] => ZONES,
        ["network", ..] => NETWORKS,
        ["launch" | "create" | "image", ..] => IMAGES,
        ["profile", ..] => PROFILES,
        ["storage", ..] => POOLS,
        ["project", ..] => PROJECTS,
        ["operation", ..] => OPERATIONS,
        ["warning", ..] => WARNINGS,
        []
        | [
            "alias" | "query" | "manpage" | "completion" | "admin" | "import",
            ..,
        ] => {
            return None;
        }
        _ => INSTANCES,
    })
}

/// Whose keys verbs are about, as the table of all keys names them; a kind that ends in `-` stands for all that begin so.
fn keys_of(verbs: &[&str]) -> Option<&'static str> {
    Some(match verbs {
        [_, "device", ..] => "device-",
        ["network", "zone", "record", ..] => "network-zone-record",
        ["network", "zone", ..] => "network-zone",
        ["network", "acl" | "forward", ..] | ["image" | "publish", ..] => return None,
        ["network", ..] => "network-bridge",
        ["storage", "volume", ..] => "storage-volume",
        ["storage", ..] => "storage",
        ["project", ..] => "project",
        _ => "instance",
    })
}

/// What the argument `id` of a verb names.
pub(super) fn of(verbs: &[&str], id: &str, is_positional: bool) -> Option<Kind> {
    let last = verbs.last().copied().unwrap_or_default();
    let is_new = matches!(last, "create" | "add") && verbs.len() > 1;
    let key = |with_value| keys_of(verbs).map(|of| Kind::Key { of, with_value });
    match (id, is_positional) {
        ("profiles" | "profile", _) => Some(Kind::Of(PROFILES)),
        ("network", _) => Some(Kind::Of(NETWORKS)),
        ("storage" | "pool", _) => Some(Kind::Of(POOLS)),
        ("project" | "target_project", _) => Some(Kind::Of(PROJECTS)),
        ("config", false) => key(true),
        (_, false) => None,
        ("image", _) => Some(Kind::Of(IMAGES)),
        ("zone", _) => Some(Kind::Of(ZONES)),
        ("remote", _) => Some(Kind::Remotes),
        ("instance" | "instances", _) => Some(Kind::Of(INSTANCES)),
        ("words", _) if verbs.first() == Some(&"config") && verbs.len() == 2 => {
            let with_value = last == "set";
            Some(Kind::OwnerThenKey { with_value })
        }
        ("key", _) => key(false),
        ("keys", _) => key(true),
        ("words", _) if last == "set" => key(true),
        ("owner", _) if last.ends_with("-profile") => Some(Kind::Of(PROFILES)),
        ("owner", _) if matches!(last, "attach" | "detach") => Some(Kind::Of(INSTANCES)),
        _ => below(verbs, id, is_new),
    }
}

/// What is named by more than one word, or is what the verb is about.
fn below(verbs: &[&str], id: &str, is_new: bool) -> Option<Kind> {
    match (verbs, id) {
        (["config", "template", ..], "name") => Some(Kind::Of(INSTANCES)),
        (_, "name" | "device" | "devices" | "listen_address" | "record" | "template") if is_new => {
            None
        }
        (["snapshot" | "restore", ..], "name" | "names") => {
            Some(Kind::Below(INSTANCES, "snapshots"))
        }
        ([_, "device", ..], "device" | "devices") => subject(verbs).map(Kind::Devices),
        (_, "listen_address") => Some(Kind::Below(NETWORKS, "forwards")),
        (_, "record") => Some(Kind::Below(ZONES, "records")),
        (_, "template") => Some(Kind::Below(INSTANCES, "metadata/templates")),
        (_, "volume") => Some(Kind::Volumes),
        (["storage", "volume", "snapshot", ..], "name") => Some(Kind::VolumeSnapshots),
        (["remote", ..], "name" | "names") => Some(Kind::Remotes),
        (
            _,
            "name" | "names" | "source" | "owner" | "words" | "filters" | "paths" | "path"
            | "uuids",
        ) => subject(verbs).map(Kind::Of),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_has_its_kind() {
        let of = |verbs: &str, id| of(&verbs.split(' ').collect::<Vec<_>>(), id, true);
        assert_eq!(of("exec", "name"), Some(Kind::Of(INSTANCES)));
        assert_eq!(of("profile create", "name"), None);
        assert_eq!(
            of("config trust show", "name"),
            Some(Kind::Of(CERTIFICATES))
        );
        assert_eq!(
            of("profile device get", "device"),
            Some(Kind::Devices(PROFILES))
        );
        assert_eq!(
            of("profile set", "words"),
            Some(Kind::Key {
                of: "instance",
                with_value: true
            })
        );
    }

    #[test]
    fn a_key_follows_its_owner() {
        let paths = |kind: Kind, before: &[&str]| -> Vec<String> {
            let before: Vec<String> = before.iter().map(|&word| word.to_owned()).collect();
            kind.sources(&before)
                .into_iter()
                .map(|source| format!("{} {:?}", source.path, source.read))
                .collect()
        };
        let kind = Kind::OwnerThenKey { with_value: false };
        assert_eq!(paths(kind, &[]).len(), 2);
        assert!(paths(kind, &["box:c1"])[0].contains("instance"));
        assert!(paths(kind, &["box:"])[0].contains("server"));
        assert_eq!(
            paths(Kind::Below(INSTANCES, "snapshots"), &["box:c1"]),
            ["/1.0/instances/c1/snapshots Names"]
        );
    }
}
