//! The distributions and releases that can be built. Pure.
//!
//! Numbers and code names both work; a distribution without a release is its newest stable one.
//! Facts: <https://www.debian.org/releases/>, <https://wiki.ubuntu.com/Releases>.

use super::error::BuildError;

/// A family of releases with one archive and one signing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distribution {
    /// Debian.
    Debian,
    /// Ubuntu.
    Ubuntu,
}

impl Distribution {
    const ALL: [Self; 2] = [Self::Debian, Self::Ubuntu];

    /// As it is in aliases.
    pub fn name(self) -> &'static str {
        match self {
            Self::Debian => "debian",
            Self::Ubuntu => "ubuntu",
        }
    }

    /// As people write it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Debian => "Debian",
            Self::Ubuntu => "Ubuntu",
        }
    }

    /// The file of public keys, in `/usr/share/keyrings` on the host and in the image.
    pub fn keyring(self) -> &'static str {
        match self {
            Self::Debian => "debian-archive-keyring.gpg",
            Self::Ubuntu => "ubuntu-archive-keyring.gpg",
        }
    }

    /// The package that has that file.
    pub fn keyring_package(self) -> &'static str {
        match self {
            Self::Debian => "debian-archive-keyring",
            Self::Ubuntu => "ubuntu-keyring",
        }
    }

    fn parse(name: &str) -> Result<Self, BuildError> {
        let wanted = name.to_ascii_lowercase();
        Self::ALL
            .into_iter()
            .find(|distribution| distribution.name() == wanted)
            .ok_or_else(|| BuildError::UnknownDistribution {
                name: name.to_owned(),
                known: nearest(&wanted, Self::ALL.into_iter().map(Self::name)),
            })
    }
}

/// How a release gets its updates, which decides its suites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Updates {
    /// `-updates` and a security archive.
    Stable,
    /// None: a rolling suite.
    Rolling,
}

/// One release.
#[derive(Debug, PartialEq, Eq)]
pub struct Release {
    /// Its distribution.
    pub distribution: Distribution,
    /// The number, as in `debian/12`; the code name where there is none.
    pub number: &'static str,
    /// The code name, which is also the suite in the archive.
    pub codename: &'static str,
    /// Where its updates come from.
    pub updates: Updates,
    /// systemd-resolved is a package of its own (older ones have it in `systemd`).
    pub resolved_package: bool,
}

const fn release(
    distribution: Distribution,
    number: &'static str,
    codename: &'static str,
) -> Release {
    Release {
        distribution,
        number,
        codename,
        updates: Updates::Stable,
        resolved_package: true,
    }
}

/// The first of a distribution is what its bare name means.
static RELEASES: [Release; 7] = [
    release(Distribution::Debian, "13", "trixie"),
    release(Distribution::Debian, "12", "bookworm"),
    Release {
        updates: Updates::Rolling,
        ..release(Distribution::Debian, "sid", "sid")
    },
    release(Distribution::Ubuntu, "24.04", "noble"),
    Release {
        resolved_package: false,
        ..release(Distribution::Ubuntu, "22.04", "jammy")
    },
    release(Distribution::Ubuntu, "25.10", "questing"),
    release(Distribution::Ubuntu, "26.04", "resolute"),
];

impl Release {
    /// Finds a release by number or code name; an empty `release` is the newest stable one.
    pub fn find(distribution: &str, release: &str) -> Result<&'static Self, BuildError> {
        let distribution = Distribution::parse(distribution)?;
        let wanted = release.to_ascii_lowercase();
        let of_distribution = || RELEASES.iter().filter(|r| r.distribution == distribution);
        of_distribution()
            .find(|r| wanted.is_empty() || r.number == wanted || r.codename == wanted)
            .ok_or_else(|| BuildError::UnknownRelease {
                distribution: distribution.name(),
                release: release.to_owned(),
                known: nearest(&wanted, of_distribution().flat_map(Self::names)),
            })
    }

    /// The names that mean this release: number, code name.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        let codename = (self.codename != self.number).then_some(self.codename);
        std::iter::once(self.number).chain(codename)
    }

    /// As users write it: `debian/13`.
    pub fn alias(&self) -> String {
        format!("{}/{}", self.distribution.name(), self.number)
    }

    /// Whether the bare name of the distribution means this one.
    pub fn is_default(&self) -> bool {
        Self::find(self.distribution.name(), "").is_ok_and(|default| default == self)
    }

    /// For people: `Debian 13 (trixie)`.
    pub fn title(&self) -> String {
        format!(
            "{} {} ({})",
            self.distribution.title(),
            self.number,
            self.codename
        )
    }
}

fn nearest(wanted: &str, names: impl Iterator<Item = &'static str>) -> Vec<&'static str> {
    let mut names: Vec<_> = names.collect();
    // The sort is stable: names that are equally far stay newest first.
    names.sort_by_key(|name| crate::simplestreams::distance(wanted, name));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_by_number_and_code_name_and_default() {
        for name in ["12", "bookworm", "Bookworm"] {
            assert_eq!(Release::find("debian", name).unwrap().codename, "bookworm");
        }
        assert_eq!(Release::find("Debian", "").unwrap().number, "13");
        assert_eq!(Release::find("ubuntu", "").unwrap().alias(), "ubuntu/24.04");
        assert!(Release::find("debian", "13").unwrap().is_default());
        assert!(!Release::find("debian", "12").unwrap().is_default());
    }

    #[test]
    fn names_the_nearest_first() {
        let error = Release::find("debian", "bokworm").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`debian` has no release `bokworm`; known: bookworm, 13, trixie, 12, sid"
        );
        let error = Release::find("ubunut", "noble").unwrap_err();
        assert_eq!(
            error.to_string(),
            "distribution `ubunut` can't be built here; known: ubuntu, debian"
        );
    }
}
