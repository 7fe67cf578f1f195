//! Devices of one instance that would be in each other's place: two disks at a path, two interfaces of a name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::model::{Config, Devices};

/// Refuses devices that want the same place; the error names both and the place.
pub fn check(devices: &Devices) -> Result<(), String> {
    let mut taken: BTreeMap<Place, &str> = BTreeMap::new();
    for (name, keys) in devices {
        let Some(place) = place(name, keys) else {
            continue;
        };
        if let Some(other) = taken.get(&place) {
            return Err(format!(
                "devices `{other}` and `{name}` would both be {place}: give one of them another"
            ));
        }
        taken.insert(place, name);
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

fn place(device: &str, keys: &Config) -> Option<Place> {
    let text = |key: &str| keys.get(key).filter(|value| !value.is_empty());
    match keys.get("type").map_or("", String::as_str) {
        "disk" => text("path").map(|path| Place::Path(plain(path))),
        "unix-char" | "unix-block" => {
            let path = text("path").or_else(|| text("source"))?;
            Some(Place::Path(plain(path)))
        }
        "nic" => {
            let name = text("name").map_or(device, String::as_str);
            Some(Place::Interface(name.to_owned()))
        }
        _ => None,
    }
}

/// Without what means nothing: `//`, `/.`, a slash at the end.
fn plain(path: &str) -> PathBuf {
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
            ("type=disk path=/ pool=p", "type=disk path=/. source=/b"),
            (
                "type=unix-char source=/dev/zero",
                "type=unix-char source=/dev/full path=//dev/zero",
            ),
            (
                "type=nic network=br0 name=eth0",
                "type=nic network=br1 name=eth0",
            ),
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
        ]);
        assert_eq!(check(&fine), Ok(()));
    }
}
