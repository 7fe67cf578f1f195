//! Names of distributions and releases: what can be built where no image server has it. Pure.
//!
//! Facts: <https://www.debian.org/releases/>, <https://wiki.ubuntu.com/Releases>.

/// Distribution, number, code name. The first of a distribution is what its bare name means.
const RELEASES: [(&str, &str, &str); 7] = [
    ("debian", "13", "trixie"),
    ("debian", "12", "bookworm"),
    ("debian", "sid", "sid"),
    ("ubuntu", "24.04", "noble"),
    ("ubuntu", "22.04", "jammy"),
    ("ubuntu", "25.10", "questing"),
    ("ubuntu", "26.04", "resolute"),
];

/// A release that can be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Release {
    pub(crate) distribution: &'static str,
    pub(crate) number: &'static str,
}

impl Release {
    /// Reads `debian`, `debian/12`, `debian/bookworm`.
    pub(crate) fn find(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let (distribution, release) = name.split_once('/').unwrap_or((&name, ""));
        RELEASES
            .into_iter()
            .find(|(known, number, code)| {
                *known == distribution
                    && (release.is_empty() || *number == release || *code == release)
            })
            .map(|(distribution, number, _)| Self {
                distribution,
                number,
            })
    }

    /// The one alias that stands for it: `debian/12`.
    pub(crate) fn alias(self) -> String {
        format!("{}/{}", self.distribution, self.number)
    }
}

/// All names that [`Release::find`] understands and people may have meant.
pub(crate) fn names() -> Vec<String> {
    let mut names = vec!["debian".to_owned(), "ubuntu".to_owned()];
    for (distribution, number, code) in RELEASES {
        names.push(format!("{distribution}/{number}"));
        if code != number {
            names.push(format!("{distribution}/{code}"));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_is_the_newest_stable_release() {
        assert_eq!(Release::find("debian").unwrap().alias(), "debian/13");
        assert_eq!(
            Release::find("ubuntu/noble").unwrap().alias(),
            "ubuntu/24.04"
        );
        assert_eq!(
            Release::find("debian/bookworm").unwrap().alias(),
            "debian/12"
        );
        assert_eq!(Release::find("debian/99"), None);
        assert_eq!(Release::find("alpine"), None);
    }

    #[test]
    fn all_names_are_understood() {
        assert!(names().iter().all(|name| Release::find(name).is_some()));
    }
}
