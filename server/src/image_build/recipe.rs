//! What goes into an image: packages, and what the image says of itself. Pure.
//!
//! The aim is a small but comfortable machine that lives for long: its own init with all of its helpers, an address by
//! DHCP, a resolver, `apt`, an editor, `sudo`; no SSH server and no keys, since `rlxc exec` and `rlxc shell` need none.

use std::collections::BTreeMap;

use super::error::BuildError;
use super::release::{Distribution, Release};

/// What a container can't do without.
const BASE: [&str; 12] = [
    "systemd-sysv",
    // Without udev no link ever gets configured: networkd waits for its word.
    "udev",
    "dbus",
    "libpam-systemd",
    // Resolves the machine's own name, so that no /etc/hosts needs to be written for each instance.
    "libnss-myhostname",
    "iproute2",
    "iputils-ping",
    "ca-certificates",
    "netbase",
    "less",
    "procps",
    "tzdata",
];

/// What makes a machine comfortable.
const COMFORT: [&str; 7] = [
    "sudo",
    "nano",
    "curl",
    "bash-completion",
    "dbus-user-session",
    "xz-utils",
    "openssl",
];

/// How much is in an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// Comfortable.
    Default,
    /// What boots, has an address and can install packages.
    Minimal,
}

impl Variant {
    /// As it is in properties and aliases.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Minimal => "minimal",
        }
    }

    /// `None` is the default one.
    pub fn parse(name: Option<&str>) -> Result<Self, BuildError> {
        match name.unwrap_or("default") {
            "default" => Ok(Self::Default),
            "minimal" => Ok(Self::Minimal),
            other => Err(BuildError::UnknownName {
                kind: "variant",
                name: other.to_owned(),
                hint: "variants are: default, minimal".to_owned(),
            }),
        }
    }
}

/// A release in one variant for one architecture, with packages of the user's choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// What is built.
    pub release: &'static Release,
    /// How much of it.
    pub variant: Variant,
    /// Debian's name, `amd64`.
    pub architecture: &'static str,
    /// Packages beyond those of the variant.
    pub extra: Vec<String>,
}

impl Recipe {
    /// All packages to install beyond the distribution's minimum.
    pub fn packages(&self) -> Vec<&str> {
        let comfort = match self.variant {
            Variant::Default => &COMFORT[..],
            Variant::Minimal => &[],
        };
        let resolved = self.release.resolved_package.then_some("systemd-resolved");
        let keyring = self.release.distribution.keyring_package();
        BASE.into_iter()
            .chain(comfort.iter().copied())
            .chain(resolved)
            .chain([keyring])
            .chain(self.extra.iter().map(String::as_str))
            .collect()
    }

    /// The image's properties, with those names that image servers use; `created` in seconds since 1970.
    pub fn properties(&self, created: i64) -> BTreeMap<String, String> {
        let serial = jiff::Timestamp::from_second(created)
            .map(|time| time.strftime("%Y%m%d_%H:%M").to_string())
            .unwrap_or_default();
        let release = self.release;
        let description = format!("{} {} ({serial})", release.title(), self.architecture);
        [
            ("os", release.distribution.title()),
            ("release", release.codename),
            ("version", release.number),
            ("architecture", self.architecture),
            ("variant", self.variant.name()),
            ("serial", &serial),
            ("description", &description),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
    }

    /// Names under which the image would be looked for, the most exact first.
    pub fn aliases(&self) -> Vec<String> {
        let release = self.release;
        let name = release.distribution.name();
        let suffix = match self.variant {
            Variant::Default => String::new(),
            Variant::Minimal => "/minimal".to_owned(),
        };
        let bare = (release.is_default() && self.variant == Variant::Default)
            .then(|| release.distribution.name().to_owned());
        release
            .names()
            .map(|number| format!("{name}/{number}{suffix}"))
            .chain(bare)
            .collect()
    }

    /// Components of the archive that the packages above are in.
    pub fn components(distribution: Distribution) -> &'static str {
        match distribution {
            Distribution::Debian => "main",
            Distribution::Ubuntu => "main universe restricted multiverse",
        }
    }
}

/// Refuses what could not be the name of a package (deb-control(5)) and might be an option or a path.
pub fn check_package_name(name: &str) -> Result<(), BuildError> {
    let fits = name.len() >= 2
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c));
    if fits {
        return Ok(());
    }
    Err(BuildError::UnknownName {
        kind: "package",
        name: name.to_owned(),
        hint: "names of packages are lower case letters, digits, `+`, `-` and `.`".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(distribution: &str, release: &str, variant: Variant) -> Recipe {
        Recipe {
            release: Release::find(distribution, release).unwrap(),
            variant,
            architecture: "amd64",
            extra: vec!["git".to_owned()],
        }
    }

    #[test]
    fn only_the_newest_stable_gets_the_bare_alias() {
        assert_eq!(
            recipe("debian", "13", Variant::Default).aliases(),
            ["debian/13", "debian/trixie", "debian"]
        );
        assert_eq!(
            recipe("debian", "12", Variant::Default).aliases(),
            ["debian/12", "debian/bookworm"]
        );
        assert_eq!(
            recipe("debian", "13", Variant::Minimal).aliases(),
            ["debian/13/minimal", "debian/trixie/minimal"]
        );
    }

    #[test]
    fn resolver_is_a_package_where_it_exists() {
        let noble = recipe("ubuntu", "noble", Variant::Minimal);
        assert!(noble.packages().contains(&"systemd-resolved"));
        let jammy = recipe("ubuntu", "jammy", Variant::Default);
        assert!(!jammy.packages().contains(&"systemd-resolved"));
        assert!(jammy.packages().ends_with(&["ubuntu-keyring", "git"]));
    }

    #[test]
    fn properties_are_those_of_image_servers() {
        let properties = recipe("debian", "12", Variant::Default).properties(1_700_000_000);
        assert_eq!(
            properties["description"],
            "Debian 12 (bookworm) amd64 (20231114_22:13)"
        );
        assert_eq!(properties["release"], "bookworm");
    }

    #[test]
    fn refuses_packages_that_could_be_options() {
        for bad in ["-oX=y", "a,b", "../x", "G", "g it", "?essential"] {
            assert!(check_package_name(bad).is_err(), "{bad}");
        }
        assert!(check_package_name("g++-12").is_ok());
    }
}
