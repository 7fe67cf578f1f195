//! The index of an image server, in the format of simplestreams that LXD's servers speak. Pure.
//!
//! `streams/v1/index.json` names the file of products; that has, by product and version, the files of each image.
//! Fields that we don't use are skipped; entries that make no sense are left out instead of spoiling the rest.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::delta::Delta;

/// The kind of root file system that unpacks fastest, and has deltas.
const SQUASHFS: &str = "squashfs";

/// `streams/v1/index.json`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Index {
    index: BTreeMap<String, IndexEntry>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct IndexEntry {
    datatype: String,
    path: String,
    format: String,
}

impl Index {
    /// Where the lists of images are, relative to the server's root.
    pub fn product_paths(&self) -> impl Iterator<Item = &str> {
        let images = self.index.values().filter(|entry| {
            entry.datatype == "image-downloads"
                && (entry.format == "products:1.0" || entry.format.is_empty())
        });
        images.map(|entry| entry.path.as_str())
    }
}

/// `streams/v1/images.json`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Catalogue {
    /// By `distribution:release:architecture:variant`.
    pub products: BTreeMap<String, Product>,
}

/// One line of images: a release for one architecture in one variant.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Product {
    /// Names with commas between them.
    pub aliases: String,
    /// Debian's name, `amd64`.
    pub arch: String,
    /// `Debian`.
    pub os: String,
    /// The code name.
    pub release: String,
    /// For people.
    pub release_title: String,
    /// `default`, `cloud`; Ubuntu's server has none.
    pub variant: String,
    /// What the host must have.
    pub requirements: BTreeMap<String, Value>,
    /// The same, in older indexes.
    pub lxd_requirements: BTreeMap<String, Value>,
    /// By serial, `20240101_05:24`.
    pub versions: BTreeMap<String, Version>,
}

/// One build of a product.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Version {
    /// `release`, `daily`.
    pub label: String,
    /// Files by name.
    pub items: BTreeMap<String, Item>,
}

/// One file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Item {
    /// What it is: `incus.tar.xz`, `lxd.tar.xz`, `squashfs`, `squashfs.vcdiff`, `root.tar.xz`.
    pub ftype: String,
    /// Relative to the server's root.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Of the file, hexadecimal.
    pub sha256: String,
    /// On the metadata file: hash of it and of the root tarball.
    pub combined_rootxz_sha256: String,
    /// On the metadata file: hash of it and of the squashfs.
    pub combined_squashfs_sha256: String,
    /// On the metadata file, in old indexes: as `combined_rootxz_sha256`.
    pub combined_sha256: String,
    /// On a delta: the serial of the version that it stands on.
    pub delta_base: String,
}

/// The two files of an image, and what becomes of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFiles {
    /// SHA-256 of metadata and root file system, one after the other: the fingerprint.
    pub fingerprint: String,
    /// The metadata tarball, or all in one.
    pub metadata: RemoteFile,
    /// The root file system, where it is a file of its own.
    pub rootfs: Option<RemoteFile>,
    /// `squashfs`, `tar.xz`, or `unified`.
    pub kind: &'static str,
    /// What can be fetched in place of `rootfs` by whoever has an older image.
    pub deltas: Vec<Delta>,
}

impl ImageFiles {
    /// Bytes of all files.
    pub fn size(&self) -> u64 {
        let rootfs = self.rootfs.as_ref().map_or(0, |file| file.size);
        self.metadata.size.saturating_add(rootfs)
    }
}

/// A file on the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteFile {
    /// Relative to the server's root.
    pub path: String,
    /// Bytes, as promised.
    pub size: u64,
    /// As promised, lower case.
    pub sha256: String,
}

impl Product {
    /// The names that mean it.
    pub fn aliases(&self) -> impl Iterator<Item = &str> {
        self.aliases
            .split(',')
            .map(str::trim)
            .filter(|alias| !alias.is_empty())
    }

    /// The newest version that has all the files of a container image: serial, label and files.
    pub fn newest(&self) -> Option<(&str, &str, ImageFiles)> {
        let mut versions = self.versions.iter().rev();
        versions.find_map(|(serial, version)| {
            let mut files = version.files()?;
            if files.kind == SQUASHFS {
                files.deltas = self.deltas(version);
            }
            Some((serial.as_str(), version.label.as_str(), files))
        })
    }
}

impl Version {
    /// Chooses metadata and root file system: squashfs before the tarball, since it is smaller and unpacks faster, and both
    /// before all in one.
    fn files(&self) -> Option<ImageFiles> {
        self.split_files().or_else(|| self.unified_file())
    }

    fn by_type(&self, names: &[&str]) -> Option<&Item> {
        names
            .iter()
            .find_map(|name| self.items.values().find(|item| item.ftype == *name))
    }

    /// Of the image with its squashfs, by each of its metadata files.
    pub(super) fn squashfs_fingerprints(&self) -> Vec<String> {
        let hashes = self
            .items
            .values()
            .map(|item| &item.combined_squashfs_sha256);
        let hashes = hashes.filter(|hash| is_sha256(hash));
        hashes.map(|hash| hash.to_ascii_lowercase()).collect()
    }

    fn split_files(&self) -> Option<ImageFiles> {
        let metadata = self.by_type(&["incus.tar.xz", "lxd.tar.xz"])?;
        let combined = |hashes: &[&String]| {
            let mut hashes = hashes.iter().filter(|hash| is_sha256(hash));
            hashes.next().map(|hash| hash.to_ascii_lowercase())
        };
        let squashfs = || {
            let fingerprint = combined(&[&metadata.combined_squashfs_sha256])?;
            Some((SQUASHFS, self.by_type(&[SQUASHFS])?, fingerprint))
        };
        let tarball = || {
            let hashes = [&metadata.combined_rootxz_sha256, &metadata.combined_sha256];
            Some((
                "tar.xz",
                self.by_type(&["root.tar.xz"])?,
                combined(&hashes)?,
            ))
        };
        let (kind, rootfs, fingerprint) = squashfs().or_else(tarball)?;
        Some(ImageFiles {
            fingerprint,
            metadata: metadata.to_remote()?,
            rootfs: Some(rootfs.to_remote()?),
            kind,
            deltas: Vec::new(),
        })
    }

    fn unified_file(&self) -> Option<ImageFiles> {
        let names = ["incus_combined.tar.gz", "lxd_combined.tar.gz"];
        let file = self.by_type(&names)?.to_remote()?;
        Some(ImageFiles {
            fingerprint: file.sha256.clone(),
            metadata: file,
            rootfs: None,
            kind: "unified",
            deltas: Vec::new(),
        })
    }
}

impl Item {
    /// `None` where the entry could not be trusted: a path out of the server's tree, a hash that is none.
    pub(super) fn to_remote(&self) -> Option<RemoteFile> {
        let path = self.path.trim_start_matches('/');
        let is_plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        let usable = is_sha256(&self.sha256)
            && self.size > 0
            && path.split('/').all(is_plain)
            && path.bytes().all(|byte| byte.is_ascii_graphic());
        usable.then(|| RemoteFile {
            path: path.to_owned(),
            size: self.size,
            sha256: self.sha256.to_ascii_lowercase(),
        })
    }
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests;
