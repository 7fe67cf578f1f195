//! Devices of the host that a device of an instance stands for: its nodes, by what `/dev` and `/sys` say now.
//!
//! `unix-char` and `unix-block` are one node, by its path or its number; `unix-hotplug`, `usb` and `gpu` are all that match, and
//! may be none at this moment. `infiniband` are those of the adapter that an interface belongs to. See Documentation/admin-guide/devices.txt and sysfs(5).

pub mod infiniband;

use std::path::{Path, PathBuf};

use rlxc_container::spec::DeviceSpec;

use crate::keys::parse_bool;
use crate::model::Config;

/// The types that are nodes.
pub const TYPES: [&str; 6] = [
    "gpu",
    "infiniband",
    "unix-block",
    "unix-char",
    "unix-hotplug",
    "usb",
];

/// Where the host's files are, for tests to be elsewhere.
#[derive(Debug, Clone)]
pub struct Host {
    root: PathBuf,
}

impl Default for Host {
    fn default() -> Self {
        Self { root: "/".into() }
    }
}

/// A node of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    path: PathBuf,
    /// `c` or `b`.
    kind: &'static str,
    /// `254:0`.
    number: String,
}

/// The nodes of a device. An error names the device and says what to do.
pub fn nodes(host: &Host, name: &str, keys: &Config) -> Result<Vec<DeviceSpec>, String> {
    let kind = keys.get("type").map_or("", String::as_str);
    let found = match kind {
        "unix-char" => host.by_path(keys, "c"),
        "unix-block" => host.by_path(keys, "b"),
        "unix-hotplug" => Ok(host.hotplugged(keys)),
        "usb" => Ok(host.usb(keys)),
        "gpu" => Ok(host.gpus(keys)),
        "infiniband" => return Ok(host.parents(name, keys)),
        _ => return Ok(Vec::new()),
    };
    let found = found.map_err(|wrong| format!("device `{name}`: {wrong}"))?;
    if found.is_empty() && is_required(kind, keys) {
        return Err(format!("device `{name}`: {}", missing(kind, keys)));
    }
    let specs = found.into_iter().map(|node| spec(name, keys, node));
    Ok(specs.collect())
}

/// What may come later need not be there now.
pub fn is_required(kind: &str, keys: &Config) -> bool {
    let said = keys.get("required").and_then(|value| parse_bool(value));
    said.unwrap_or(matches!(kind, "unix-char" | "unix-block" | "gpu"))
}

fn missing(kind: &str, keys: &Config) -> String {
    match kind {
        "unix-char" | "unix-block" => format!(
            "`{}` is not there on the host; with `required=false` the instance starts without and gets it when it comes",
            source(keys).unwrap_or_default().display()
        ),
        "gpu" => "no GPU of this host fits (`rlxc info --resources` lists them)".to_owned(),
        _ => "nothing of this host fits; with `required=false` the instance gets it when it comes"
            .to_owned(),
    }
}

fn value<'a>(keys: &'a Config, key: &str) -> Option<&'a str> {
    keys.get(key)
        .map(String::as_str)
        .filter(|value| !value.is_empty())
}

fn source(keys: &Config) -> Option<PathBuf> {
    value(keys, "source")
        .or_else(|| value(keys, "path"))
        .map(PathBuf::from)
}

fn spec(name: &str, keys: &Config, node: Node) -> DeviceSpec {
    let id = |key: &str| value(keys, key).and_then(|id| id.parse().ok()).unwrap_or(0);
    let mode = value(keys, "mode").and_then(|mode| u32::from_str_radix(mode, 8).ok());
    let by_path = matches!(
        keys.get("type").map(String::as_str),
        Some("unix-char" | "unix-block")
    );
    let path = value(keys, "path").filter(|_| by_path).map(PathBuf::from);
    DeviceSpec {
        device: name.to_owned(),
        path: path.unwrap_or_else(|| node.path.clone()),
        source: node.path,
        kind: node.kind.to_owned(),
        number: node.number,
        mode: mode.unwrap_or(0o660),
        uid: id("uid"),
        gid: id("gid"),
        optional: false,
    }
}

impl Host {
    fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// By number where that is said, else by the node at the source.
    fn by_path(&self, keys: &Config, kind: &'static str) -> Result<Vec<Node>, String> {
        let path = source(keys);
        if let (Some(major), Some(minor)) = (value(keys, "major"), value(keys, "minor")) {
            return Ok(vec![Node {
                path: path.ok_or("needs a `path`")?,
                kind,
                number: format!("{major}:{minor}"),
            }]);
        }
        let path = path.ok_or("needs a `source` or a `path`")?;
        let Ok(stat) = rustix::fs::stat(self.at(&path)) else {
            return Ok(Vec::new());
        };
        let found = match rustix::fs::FileType::from_raw_mode(stat.st_mode) {
            rustix::fs::FileType::CharacterDevice => "c",
            rustix::fs::FileType::BlockDevice => "b",
            _ => return Err(format!("`{}` is no device", path.display())),
        };
        if found != kind {
            let (is, type_) = match found {
                "c" => ("a character device", "unix-char"),
                _ => ("a block device", "unix-block"),
            };
            return Err(format!("`{}` is {is}: use type `{type_}`", path.display()));
        }
        let (major, minor) = (
            rustix::fs::major(stat.st_rdev),
            rustix::fs::minor(stat.st_rdev),
        );
        Ok(vec![Node {
            path,
            kind,
            number: format!("{major}:{minor}"),
        }])
    }

    /// All nodes of devices with these ids, or of a subsystem.
    fn hotplugged(&self, keys: &Config) -> Vec<Node> {
        let mut found = Vec::new();
        for (kind, directory) in [("c", "sys/dev/char"), ("b", "sys/dev/block")] {
            for (number, place) in self.entries(directory) {
                let Some(path) = node_of(&place) else {
                    continue;
                };
                let is_bus = path.starts_with("/dev/bus/usb");
                if !is_bus && fits(&place, keys) {
                    found.push(Node { path, kind, number });
                }
            }
        }
        found
    }

    /// Whole devices on USB.
    fn usb(&self, keys: &Config) -> Vec<Node> {
        let devices = self.entries("sys/bus/usb/devices").into_iter();
        let devices = devices.filter(|(_, place)| place.join("idVendor").exists());
        devices
            .filter(|(_, place)| has_ids(place, keys))
            .filter(|(_, place)| {
                ["serial", "busnum", "devnum"].iter().all(|file| {
                    value(keys, file).is_none_or(|wanted| is_same(&read(place, file), wanted))
                })
            })
            .filter_map(|(_, place)| {
                Some(Node {
                    path: node_of(&place)?,
                    kind: "c",
                    number: read(&place, "dev"),
                })
            })
            .collect()
    }

    /// `/dev/dri/card0`, `/dev/dri/renderD128` and their like.
    fn gpus(&self, keys: &Config) -> Vec<Node> {
        let entries = self.entries("sys/class/drm").into_iter();
        entries
            .filter(|(name, place)| {
                let card = place.join("device");
                let pci = card.canonicalize().unwrap_or_default();
                let at = pci
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                let short = |file: &str| read(&card, file).trim_start_matches("0x").to_owned();
                let fits = |key: &str, found: &str| {
                    value(keys, key).is_none_or(|wanted| is_same(found, wanted))
                };
                let number = name.trim_start_matches(|c: char| !c.is_ascii_digit());
                let cards = std::fs::read_dir(card.join("drm"))
                    .into_iter()
                    .flatten()
                    .flatten();
                let is_id = |wanted: &str| {
                    number == wanted && name.starts_with("card")
                        || cards.into_iter().any(|card| {
                            card.file_name().to_string_lossy() == format!("card{wanted}")
                        })
                };
                fits("pci", &at)
                    && fits("vendorid", &short("vendor"))
                    && fits("productid", &short("device"))
                    && value(keys, "id").is_none_or(is_id)
            })
            .filter_map(|(_, place)| {
                Some(Node {
                    path: node_of(&place)?,
                    kind: "c",
                    number: Some(read(&place, "dev")).filter(|number| number.contains(':'))?,
                })
            })
            .collect()
    }

    /// The nodes of the adapter of the parent. Where there is none, those who lend the parent tell why.
    fn parents(&self, name: &str, keys: &Config) -> Vec<DeviceSpec> {
        let adapter = infiniband::find(self, value(keys, "parent").unwrap_or_default());
        let nodes = adapter.map(|adapter| infiniband::nodes(self, name, &adapter));
        nodes.unwrap_or_default()
    }

    fn entries(&self, directory: &str) -> Vec<(String, PathBuf)> {
        let entries = std::fs::read_dir(self.at(directory))
            .into_iter()
            .flatten()
            .flatten();
        let mut found: Vec<_> = entries
            .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
            .collect();
        found.sort();
        found
    }
}

fn fits(place: &Path, keys: &Config) -> bool {
    if let Some(wanted) = value(keys, "subsystem") {
        let link = std::fs::read_link(place.join("subsystem")).unwrap_or_default();
        if link.file_name().is_none_or(|name| name != wanted) {
            return false;
        }
    }
    let ids = ["vendorid", "productid"];
    if ids.iter().all(|key| value(keys, key).is_none()) {
        return true;
    }
    let Ok(place) = place.canonicalize() else {
        return false;
    };
    let owner = place
        .ancestors()
        .find(|directory| directory.join("idVendor").exists());
    owner.is_some_and(|usb| has_ids(usb, keys))
}

/// `DEVNAME` of a device's `uevent`.
fn node_of(place: &Path) -> Option<PathBuf> {
    let text = std::fs::read_to_string(place.join("uevent")).ok()?;
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("DEVNAME="))?;
    Some(Path::new("/dev").join(name))
}

fn read(place: &Path, file: &str) -> String {
    let text = std::fs::read_to_string(place.join(file)).unwrap_or_default();
    text.trim().to_owned()
}

fn has_ids(usb: &Path, keys: &Config) -> bool {
    [("vendorid", "idVendor"), ("productid", "idProduct")]
        .iter()
        .all(|(key, file)| value(keys, key).is_none_or(|wanted| is_same(&read(usb, file), wanted)))
}

/// Ids are hexadecimal; numbers of USB have leading zeros or not.
fn is_same(found: &str, wanted: &str) -> bool {
    let plain = |text: &str| {
        text.trim_start_matches("0x")
            .trim_start_matches('0')
            .to_ascii_lowercase()
    };
    plain(found) == plain(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn keys(pairs: &[(&str, &str)]) -> Config {
        let pairs = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        pairs.collect()
    }

    /// A host with a serial adapter on USB, its bus device, a disk and a GPU.
    fn host() -> (tempfile::TempDir, Host) {
        let tree = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = tree.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let usb = "sys/devices/pci0000:00/usb1/1-2";
        for (file, text) in [
            ("idVendor", "0403\n"),
            ("idProduct", "6001\n"),
            ("busnum", "1\n"),
            ("devnum", "4\n"),
            ("serial", "A50285BI\n"),
            ("dev", "189:3\n"),
            ("uevent", "MAJOR=189\nDEVNAME=bus/usb/001/004\n"),
            ("1-2:1.0/ttyUSB0/tty/ttyUSB0/uevent", "DEVNAME=ttyUSB0\n"),
        ] {
            write(&format!("{usb}/{file}"), text);
        }
        let gpu = "sys/devices/pci0000:00/0000:00:02.0";
        for (file, text) in [
            ("vendor", "0x8086\n"),
            ("device", "0x5917\n"),
            ("drm/card0/uevent", "DEVNAME=dri/card0\n"),
            ("drm/card0/dev", "226:0\n"),
            ("drm/renderD128/uevent", "DEVNAME=dri/renderD128\n"),
            ("drm/renderD128/dev", "226:128\n"),
        ] {
            write(&format!("{gpu}/{file}"), text);
        }
        let link = |target: &str, place: &str| {
            let place = tree.path().join(place);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(tree.path().join(target), place).unwrap();
        };
        link(usb, "sys/bus/usb/devices/1-2");
        link(
            &format!("{usb}/1-2:1.0/ttyUSB0/tty/ttyUSB0"),
            "sys/dev/char/188:0",
        );
        link(usb, "sys/dev/char/189:3");
        for node in ["card0", "renderD128"] {
            link(
                &format!("{gpu}/drm/{node}"),
                &format!("sys/class/drm/{node}"),
            );
            link(gpu, &format!("{gpu}/drm/{node}/device"));
        }
        let host = Host {
            root: tree.path().to_owned(),
        };
        (tree, host)
    }

    fn found(host: &Host, pairs: &[(&str, &str)]) -> Vec<String> {
        let nodes = nodes(host, "x", &keys(pairs)).unwrap();
        let text =
            |node: DeviceSpec| format!("{} {} {}", node.path.display(), node.kind, node.number);
        nodes.into_iter().map(text).collect()
    }

    #[test]
    fn devices_are_found_by_what_they_are() {
        let (_tree, host) = host();
        let adapter = [
            ("type", "unix-hotplug"),
            ("vendorid", "0403"),
            ("productid", "6001"),
        ];
        assert_eq!(found(&host, &adapter), ["/dev/ttyUSB0 c 188:0"]);
        assert!(found(&host, &[("type", "unix-hotplug"), ("vendorid", "0404")]).is_empty());
        let whole = [("type", "usb"), ("vendorid", "403")];
        assert_eq!(found(&host, &whole), ["/dev/bus/usb/001/004 c 189:3"]);
        let other = [("type", "usb"), ("serial", "B")];
        assert!(found(&host, &other).is_empty());
        let gpus = ["/dev/dri/card0 c 226:0", "/dev/dri/renderD128 c 226:128"];
        for pairs in [
            &[("type", "gpu")][..],
            &[("type", "gpu"), ("pci", "0000:00:02.0")],
            &[("type", "gpu"), ("vendorid", "8086"), ("productid", "5917")],
            &[("type", "gpu"), ("id", "0")],
        ] {
            assert_eq!(found(&host, pairs), gpus, "{pairs:?}");
        }
        assert!(nodes(&host, "g", &keys(&[("type", "gpu"), ("id", "7")])).is_err());
    }

    #[test]
    fn one_node_is_by_path_or_by_number() {
        let host = Host::default();
        let null = [
            ("type", "unix-char"),
            ("source", "/dev/null"),
            ("path", "/dev/nothing"),
        ];
        assert_eq!(found(&host, &null), ["/dev/nothing c 1:3"]);
        let number = [
            ("type", "unix-block"),
            ("path", "/dev/x"),
            ("major", "7"),
            ("minor", "200"),
        ];
        assert_eq!(found(&host, &number), ["/dev/x b 7:200"]);
        let absent = [
            ("type", "unix-char"),
            ("source", "/dev/none"),
            ("required", "false"),
        ];
        assert!(found(&host, &absent).is_empty());
        for (pairs, expected) in [
            (
                &[("type", "unix-char"), ("source", "/dev/none")][..],
                "device `x`: `/dev/none` is not there on the host",
            ),
            (
                &[("type", "unix-block"), ("source", "/dev/null")],
                "is a character device: use type `unix-char`",
            ),
            (
                &[("type", "unix-char"), ("source", "/etc/passwd")],
                "`/etc/passwd` is no device",
            ),
            (&[("type", "unix-char")], "needs a `source` or a `path`"),
            (
                &[("type", "usb"), ("vendorid", "ffff"), ("required", "true")],
                "nothing of this host fits",
            ),
        ] {
            let error = nodes(&host, "x", &keys(pairs)).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
