//! From the name that a user typed to one image of a catalogue. Pure.
//!
//! Names are an alias, an alias and an architecture (`debian/12/arm64`), or the beginning of a fingerprint.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::architecture;
use super::catalogue::{Catalogue, ImageFiles, Product};
use crate::{Image, ImageAlias, ImagePut, Timestamp};

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

/// There is no image of that name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The name, without an architecture.
    pub name: String,
    /// Debian's name of the architecture that was meant.
    pub architecture: String,
}

/// Finds the newest image of that name. `native` is the architecture that is meant when the name doesn't say.
pub fn find_image(catalogue: &Catalogue, name: &str, native: &str) -> Result<RemoteImage, Missing> {
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
        Missing {
            name: alias.to_owned(),
            architecture: arch.to_owned(),
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
    let (serial, label, files) = product.newest()?;
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
        ("label", label),
        ("type", files.kind),
        ("description", &description),
    ];
    let filled = properties
        .into_iter()
        .filter(|(_, value)| !value.is_empty());
    let requirements = product.requirements.iter().chain(&product.lxd_requirements);
    let requirements =
        requirements.map(|(key, value)| (format!("requirements.{key}"), text(value)));
    Some(RemoteImage {
        files,
        architecture: architecture.to_owned(),
        properties: filled
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .chain(requirements)
            .collect(),
        aliases: product.aliases().map(str::to_owned).collect(),
    })
}

/// A string as it is, all else as JSON.
fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// All names of images for an architecture.
pub fn names<'a>(catalogue: &'a Catalogue, arch: &str) -> BTreeSet<&'a str> {
    let of_architecture = catalogue
        .products
        .values()
        .filter(|product| product.arch == arch);
    of_architecture.flat_map(Product::aliases).collect()
}

impl RemoteImage {
    /// As the API of daemons shows it.
    pub fn to_image(&self) -> Image {
        let aliases = self.aliases.iter();
        let date = self.properties.get("serial").map_or("", String::as_str);
        let date = match (date.get(..4), date.get(4..6), date.get(6..8)) {
            (Some(year), Some(month), Some(day)) => {
                Timestamp(format!("{year}-{month}-{day}T00:00:00Z"))
            }
            _ => Timestamp::none(),
        };
        Image {
            put: ImagePut {
                properties: self.properties.clone(),
                public: true,
                ..ImagePut::default()
            },
            aliases: aliases
                .map(|name| ImageAlias {
                    name: name.clone(),
                    ..ImageAlias::default()
                })
                .collect(),
            architecture: self.architecture.clone(),
            filename: self.files.metadata.path.clone(),
            fingerprint: self.files.fingerprint.clone(),
            size: i64::try_from(self.files.size()).unwrap_or(i64::MAX),
            kind: "container".to_owned(),
            created_at: date.clone(),
            uploaded_at: date,
            ..Image::default()
        }
    }
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
                   "requirements": {"cgroup": "v2"}, "versions": {"20240101_05:24": {"items": {"m": file("lxd.tar.xz"), "s": file("squashfs")}}}})
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
    fn what_is_missing_is_told_with_its_architecture() {
        let missing = find_image(&catalogue(), "debain/12", "amd64").unwrap_err();
        assert_eq!(
            (&*missing.name, &*missing.architecture),
            ("debain/12", "amd64")
        );
        let missing = find_image(&catalogue(), "debian/12/riscv64", "amd64").unwrap_err();
        assert_eq!(
            (&*missing.name, &*missing.architecture),
            ("debian/12", "riscv64")
        );
        assert!(names(&catalogue(), "amd64").contains("alpine/edge"));
    }

    #[test]
    fn images_are_shown_as_daemons_show_them() {
        let image = find_image(&catalogue(), "debian/12", "amd64")
            .unwrap()
            .to_image();
        assert_eq!(image.created_at.0, "2024-01-01T00:00:00Z");
        assert_eq!((image.size, image.put.public), (2, true));
        assert_eq!(image.aliases[0].name, "debian/12");
        assert_eq!(image.put.properties["requirements.cgroup"], "v2");
    }
}
