//! Devices of one instance that would be in each other's place: two disks at a path, two interfaces of a name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::keys::device::tpm_path;
use crate::model::{Config, Devices};

/// Refuses devices that want the same place; the error names both and the place.
pub fn check(devices: &Devices) -> Result<(), String> {
    let mut taken: BTreeMap<Place, &str> = BTreeMap::new();
    for (name, keys) in devices {
        for place in places(name, keys) {
            if let Some(other) = taken.get(&place) {
                return Err(format!(
                    "devices `{other}` and `{name}` would both be {place}: give one of them another"
                ));
            }
            taken.insert(place, name);
        }
    }
    Ok(())
}

/// What only one device can have.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Path(PathBuf),
    Interface(String),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => write!(f, "at path `{}`", path.display()),
            Self::Interface(name) => write!(f, "the interface `{name}`"),
        }
    }
}

fn places(device: &str, keys: &Config) -> Vec<Place> {
    let text = |key: &str| keys.get(key).filter(|value| !value.is_empty());
    let at = |path: &str| Place::Path(plain(path));
    match keys.get("type").map_or("", String::as_str) {
        "disk" => text("path").map(|path| at(path)).into_iter().collect(),
        "unix-char" | "unix-block" => {
            let path = text("path").or_else(|| text("source"));
            path.map(|path| at(path)).into_iter().collect()
        }
        "tpm" => ["path", "pathrm"].map(|key| at(tpm_path(keys, key))).into(),
        "nic" | "infiniband" => {
            let name = text("name").map_or(device, String::as_str);
            vec![Place::Interface(name.to_owned())]
        }
        _ => Vec::new(),
    }
}

/// Without what means nothing: `//`, `/.`, a slash at the end.
pub fn plain(path: &str) -> PathBuf {
    Path::new("/").join(path).components().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn devices(all: &[(&str, &str)]) -> Devices {
        let keys = |text: &str| {
            let pairs = text.split(' ').filter_map(|pair| pair.split_once('='));
            pairs
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect()
        };
        all.iter()
            .map(|(name, text)| ((*name).to_owned(), keys(text)))
            .collect()
    }

    #[test]
    fn one_place_is_for_one_device() {
        for (one, other) in [
            (
                "type=disk path=/data source=/a",
                "type=disk path=/data/ source=/b",
            ),
            (
                "type=disk path=/data source=/a",
                "type=disk path=//./data/. source=/b",
            ),
            ("type=disk path=/ pool=p", "type=disk path=/. source=/b"),
            (
                "type=unix-char source=/dev/zero",
                "type=unix-char source=/dev/full path=//dev/zero",
            ),
            (
                "type=nic network=br0 name=eth0",
                "type=nic network=br1 name=eth0",
            ),
            (
                "type=nic network=br0 name=ib0",
                "type=infiniband nictype=physical parent=ib1 name=ib0",
            ),
            ("type=tpm", "type=tpm path=/dev/tpm1"),
            ("type=tpm", "type=unix-char source=/dev/tpm0"),
        ] {
            let wrong = check(&devices(&[("a", one), ("b", other)])).unwrap_err();
            assert!(wrong.contains("`a` and `b`"), "{wrong}");
        }
        let fine = devices(&[
            ("a", "type=disk path=/data source=/a"),
            ("b", "type=disk path=/data/sub source=/b"),
            ("c", "type=none path=/data"),
            ("eth0", "type=nic network=br0"),
            ("eth1", "type=nic network=br0"),
            ("usb", "type=usb"),
            ("tpm", "type=tpm"),
            ("other", "type=tpm path=/dev/tpm1 pathrm=/dev/tpmrm1"),
        ]);
        assert_eq!(check(&fine), Ok(()));
    }
}
