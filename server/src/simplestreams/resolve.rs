//! From the name that a user typed to one image of a catalogue. Pure.
//!
//! Names are an alias, an alias and an architecture (`debian/12/arm64`), or the beginning of a fingerprint.

use std::collections::{BTreeMap, BTreeSet};

use super::architecture;
use super::catalogue::{Catalogue, ImageFiles, Product};
use super::error::SimplestreamsError;

/// How many near names an error tells.
const NEAREST: usize = 3;
/// Shorter ones would be found by chance.
const SHORTEST_FINGERPRINT: usize = 12;

/// An image that a server has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteImage {
    /// Its files.
    pub files: ImageFiles,
    /// The kernel's name of its architecture.
    pub architecture: String,
    /// `os`, `release`, `version`, `variant`, `serial`, `architecture`, `description`.
    pub properties: BTreeMap<String, String>,
    /// All names that mean it.
    pub aliases: Vec<String>,
}

/// Finds the newest image of that name. `native` is the architecture that is meant when the name doesn't say.
pub fn find_image(
    catalogue: &Catalogue,
    name: &str,
    native: &str,
) -> Result<RemoteImage, SimplestreamsError> {
    let wanted = name.trim_matches('/');
    let with_architecture = wanted
        .rsplit_once('/')
        .and_then(|(rest, last)| Some((rest, architecture::debian_name(last)?)));
    let native = architecture::debian_name(native).unwrap_or(native);
    let candidates = [Some((wanted, native)), with_architecture];
    let by_alias = candidates.into_iter().flatten().find_map(|(alias, arch)| {
        catalogue.products.values().find_map(|product| {
            let meant = product.arch == arch
                && product
                    .aliases()
                    .any(|known| known.eq_ignore_ascii_case(alias));
            meant.then(|| read_product(product))?
        })
    });
    let image = by_alias.or_else(|| find_fingerprint(catalogue, wanted));
    image.ok_or_else(|| {
        let (alias, arch) = with_architecture.unwrap_or((wanted, native));
        SimplestreamsError::NotFound {
            name: alias.to_owned(),
            architecture: arch.to_owned(),
            nearest: list_nearest(catalogue, alias, arch),
        }
    })
}

/// Lists the newest image of each product, as `image list` of a remote shows them.
pub fn list_images(catalogue: &Catalogue) -> Vec<RemoteImage> {
    catalogue
        .products
        .values()
        .filter_map(read_product)
        .collect()
}

fn find_fingerprint(catalogue: &Catalogue, start: &str) -> Option<RemoteImage> {
    let is_hash =
        start.len() >= SHORTEST_FINGERPRINT && start.bytes().all(|byte| byte.is_ascii_hexdigit());
    let start = start.to_ascii_lowercase();
    let mut images = catalogue.products.values().filter_map(read_product);
    images.find(|image| is_hash && image.files.fingerprint.starts_with(&start))
}

fn read_product(product: &Product) -> Option<RemoteImage> {
    let (serial, files) = product.newest()?;
    let architecture = architecture::kernel_name(&product.arch)?;
    let title = if product.release_title.is_empty() {
        &product.release
    } else {
        &product.release_title
    };
    let date = serial.get(..8).unwrap_or(serial);
    let description = format!("{} {title} {} ({serial})", product.os, product.arch);
    let properties = [
        ("os", product.os.as_str()),
        ("release", &product.release),
        ("version", title),
        ("variant", &product.variant),
        ("serial", serial),
        ("date", date),
        ("architecture", &product.arch),
        (
            "type",
            if files.rootfs.path.ends_with(".tar.xz") {
                "tar.xz"
            } else {
                "squashfs"
            },
        ),
        ("description", &description),
    ];
    let filled = properties
        .into_iter()
        .filter(|(_, value)| !value.is_empty());
    Some(RemoteImage {
        files,
        architecture: architecture.to_owned(),
        properties: filled
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
        aliases: product.aliases().map(str::to_owned).collect(),
    })
}

fn list_nearest(catalogue: &Catalogue, alias: &str, arch: &str) -> Vec<String> {
    let of_architecture = catalogue
        .products
        .values()
        .filter(|product| product.arch == arch);
    let names: BTreeSet<&str> = of_architecture.flat_map(Product::aliases).collect();
    let mut names: Vec<_> = names
        .into_iter()
        .map(|name| (distance(alias, name), name))
        .collect();
    names.sort_unstable();
    names
        .into_iter()
        .take(NEAREST)
        .map(|(_, name)| name.to_owned())
        .collect()
}

/// How far two names are from each other, by what was typed wrong; see the Damerau–Levenshtein distance.
pub fn distance(wanted: &str, name: &str) -> usize {
    strsim::damerau_levenshtein(wanted, name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn catalogue() -> Catalogue {
        let hash = "ab".repeat(32);
        let file = |ftype: &str| {
            json!({"ftype": ftype, "path": format!("i/{ftype}"), "size": 1, "sha256": hash,
                   "combined_squashfs_sha256": hash})
        };
        let product = |aliases: &str, arch: &str| {
            json!({"aliases": aliases, "arch": arch, "os": "Debian", "release": "bookworm", "variant": "default",
                   "versions": {"20240101_05:24": {"items": {"m": file("lxd.tar.xz"), "s": file("squashfs")}}}})
        };
        serde_json::from_value(json!({"products": {
            "debian:bookworm:amd64:default": product("debian/12,debian/bookworm,debian/12/default", "amd64"),
            "debian:bookworm:arm64:default": product("debian/12,debian/bookworm", "arm64"),
            "debian:bookworm:amd64:cloud": product("debian/12/cloud", "amd64"),
            "alpine:edge:amd64:default": product("alpine/edge", "amd64"),
        }}))
        .unwrap()
    }

    #[test]
    fn names_mean_the_host_unless_they_say_an_architecture() {
        let find = |name| find_image(&catalogue(), name, "x86_64").unwrap();
        assert_eq!(find("debian/12").architecture, "x86_64");
        assert_eq!(find("Debian/Bookworm/arm64").architecture, "aarch64");
        assert_eq!(find("debian/12/aarch64").architecture, "aarch64");
        assert_eq!(find("debian/12/cloud").aliases, ["debian/12/cloud"]);
        assert_eq!(find("debian/12/cloud/amd64").aliases, ["debian/12/cloud"]);
        assert_eq!(find("abababababab").files.fingerprint, "ab".repeat(32));
    }

    #[test]
    fn tells_the_nearest_names() {
        let error = find_image(&catalogue(), "debain/12", "amd64").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the image server has no image `debain/12` for amd64; the nearest: `debian/12`, `debian/12/cloud`, `alpine/edge`"
        );
        assert!(find_image(&catalogue(), "debian/12", "riscv64").is_err());
    }
}
