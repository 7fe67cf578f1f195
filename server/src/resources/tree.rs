//! Files of `/sys` and `/proc`: short texts, numbers, links.

use std::path::{Path, PathBuf};

/// The root that everything is read below.
#[derive(Debug)]
pub(super) struct Tree {
    root: PathBuf,
}

impl Tree {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    pub(super) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }

    /// What a file holds, without blanks around it; empty where there is none.
    pub(super) fn text(&self, path: impl AsRef<Path>) -> String {
        let bytes = std::fs::read(self.path(path)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).trim().to_owned()
    }

    pub(super) fn number(&self, path: impl AsRef<Path>) -> Option<u64> {
        self.text(path).parse().ok()
    }

    /// A number as sysfs writes those of vendors and classes: `0x1af4`.
    pub(super) fn hex(&self, path: impl AsRef<Path>) -> Option<u64> {
        u64::from_str_radix(self.text(path).trim_start_matches("0x"), 16).ok()
    }

    pub(super) fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.path(path).exists()
    }

    /// Names in a directory, in order: `cpu2` before `cpu10`.
    pub(super) fn names(&self, directory: impl AsRef<Path>) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(directory))
            .into_iter()
            .flatten();
        let mut names: Vec<String> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
        names
    }

    /// Names in a directory that are a word and a number, with the number.
    pub(super) fn numbered(&self, directory: &str, word: &str) -> Vec<(String, u64)> {
        let number = |name: String| {
            let number = name.strip_prefix(word)?.parse().ok()?;
            Some((name, number))
        };
        let names = self.names(directory);
        names.into_iter().filter_map(number).collect()
    }

    /// The last part of what a link points to; empty where there is none.
    pub(super) fn link(&self, path: impl AsRef<Path>) -> String {
        let target = std::fs::read_link(self.path(path)).unwrap_or_default();
        let name = target.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// Where a device is on the buses, from the directory that a link leads to.
    pub(super) fn place(&self, device: impl AsRef<Path>) -> Place {
        let Ok(path) = self.path(device).canonicalize() else {
            return Place::default();
        };
        let mut place = Place::default();
        for directory in path.ancestors() {
            let name = directory.file_name().unwrap_or_default().to_string_lossy();
            if place.usb.is_empty() && directory.join("busnum").exists() {
                let number = |file| self.text(directory.join(file));
                place.usb = format!("{}:{}", number("busnum"), number("devnum"));
            }
            if is_pci_address(&name) {
                place.pci = name.into_owned();
                break;
            }
        }
        place
    }
}

/// Where a device is.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// `0000:00:03.0`, or empty.
    pub(super) pci: String,
    /// `1:4`, or empty.
    pub(super) usb: String,
}

fn is_pci_address(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.len() == 12
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b':',
            10 => *byte == b'.',
            _ => byte.is_ascii_hexdigit(),
        })
}
