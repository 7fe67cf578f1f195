//! Deltas beside the files of an image: small files from which, and from the root file system of an older image, that of the
//! newer one is rebuilt. Which one to fetch is decided here. Pure.

use std::collections::BTreeSet;

use super::catalogue::{ImageFiles, Product, RemoteFile, Version};

/// The kind of file that stands for the squashfs of an image.
const KIND: &str = "squashfs.vcdiff";

/// A delta, and what it stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    /// The delta itself.
    pub file: RemoteFile,
    /// The fingerprints under which the older image may be here: one for each of its metadata files.
    pub bases: Vec<String>,
}

impl Product {
    /// The deltas of a version whose older images the list still has, since only that tells their fingerprints.
    pub(super) fn deltas(&self, version: &Version) -> Vec<Delta> {
        let items = version.items.values().filter(|item| item.ftype == KIND);
        let deltas = items.filter_map(|item| {
            let bases = self.versions.get(&item.delta_base)?.squashfs_fingerprints();
            let file = item.to_remote()?;
            Some(Delta { file, bases })
        });
        deltas.collect()
    }
}

impl ImageFiles {
    /// The smallest delta whose older image is among those, and the fingerprint of that one. None where the whole file is
    /// no bigger.
    pub fn delta_on(&self, images: &BTreeSet<String>) -> Option<(&RemoteFile, &str)> {
        let whole = self.rootfs.as_ref()?.size;
        let usable = self.deltas.iter().filter_map(|delta| {
            let base = delta.bases.iter().find(|base| images.contains(*base))?;
            (delta.file.size < whole).then_some((&delta.file, base.as_str()))
        });
        usable.min_by_key(|(file, _)| file.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// A hash by its first letter.
    fn hash(letter: &str) -> String {
        letter.repeat(64)
    }

    fn version(fingerprint: &str, size: u64, deltas: &[(&str, &str, u64)]) -> Value {
        let item = |ftype: &str, path: &str, size: u64| json!({"ftype": ftype, "path": path, "size": size, "sha256": hash("f")});
        let mut metadata = item("incus.tar.xz", "meta", 10);
        metadata["combined_squashfs_sha256"] = json!(hash(fingerprint));
        let mut items = json!({"meta": metadata, "root": item("squashfs", "root", size), "disk": item("disk-kvm.img.vcdiff", "disk", 1)});
        for (index, (path, base, size)) in deltas.iter().enumerate() {
            let mut delta = item("squashfs.vcdiff", path, *size);
            delta["delta_base"] = json!(base);
            items[format!("delta{index}")] = delta;
        }
        json!({"items": items})
    }

    fn newest(versions: &Value) -> ImageFiles {
        let product: Product = serde_json::from_value(json!({"versions": versions})).unwrap();
        product.newest().unwrap().2
    }

    fn chosen(files: &ImageFiles, here: &[&str]) -> Option<(String, String)> {
        let here = here.iter().map(|letter| hash(letter)).collect();
        let (file, base) = files.delta_on(&here)?;
        Some((file.path.clone(), base[..1].to_owned()))
    }

    #[test]
    fn the_smallest_delta_on_what_is_here_is_chosen() {
        let files = newest(&json!({
            "1": version("a", 100, &[]),
            "2": version("b", 100, &[("old", "1", 9)]),
            "3": version("c", 100, &[("from1", "1", 30), ("from2", "2", 20)]),
        }));
        let on = |path: &str, base: &str| Some((path.to_owned(), base.to_owned()));
        assert_eq!(chosen(&files, &["a"]), on("from1", "a"));
        assert_eq!(chosen(&files, &["b"]), on("from2", "b"));
        assert_eq!(chosen(&files, &["a", "b"]), on("from2", "b"));
        assert_eq!(chosen(&files, &[]), None);
        assert_eq!(chosen(&files, &["d"]), None);
    }

    #[test]
    fn what_saves_nothing_or_can_not_be_trusted_is_left_out() {
        let mut versions = json!({
            "1": version("a", 100, &[]),
            "2": version("b", 100, &[("big", "1", 100), ("../../up", "1", 1), ("lost", "0", 1), ("none", "", 1)]),
        });
        let files = newest(&versions);
        assert_eq!(files.deltas.len(), 1, "{files:?}");
        assert_eq!(chosen(&files, &["a"]), None);
        // A version that stands on itself is never here.
        versions["2"] = version("b", 100, &[("self", "2", 1)]);
        assert_eq!(chosen(&newest(&versions), &["a"]), None);
        // It makes a squashfs: of no use where a tarball is fetched.
        versions["2"] = version("b", 100, &[("delta", "1", 1)]);
        let items = &mut versions["2"]["items"];
        items["meta"]["combined_rootxz_sha256"] = json!(hash("b"));
        items["meta"]["combined_squashfs_sha256"] = json!("");
        items["root"]["ftype"] = json!("root.tar.xz");
        assert_eq!(newest(&versions).deltas, []);
    }

    #[test]
    fn an_older_image_has_a_fingerprint_for_each_dialect() {
        let mut versions =
            json!({"1": version("a", 9, &[]), "2": version("b", 9, &[("delta", "1", 1)])});
        let mut other = versions["1"]["items"]["meta"].clone();
        other["ftype"] = json!("lxd.tar.xz");
        other["combined_squashfs_sha256"] = json!(hash("C"));
        versions["1"]["items"]["lxd"] = other;
        let files = newest(&versions);
        assert_eq!(files.deltas[0].bases, [hash("c"), hash("a")]);
        assert_eq!(
            chosen(&files, &["c"]),
            Some(("delta".to_owned(), "c".to_owned()))
        );
    }
}
