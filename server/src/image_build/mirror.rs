//! Decides where packages are taken from, and what the image's own apt is told. Pure.
//!
//! In this order: the mirror of the request, that of the configuration, the host's own when it serves the same
//! distribution, the distribution's public one.

use super::apt::Source;
use super::error::BuildError;
use super::recipe::Recipe;
use super::release::{Distribution, Release, Updates};

/// The archives for one build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// Lines of sources.list(5) for mmdebstrap.
    pub lines: Vec<String>,
    /// The image's own sources, in deb822 format.
    pub inside: String,
    /// Where the packages come from, for progress and logs; without credentials.
    pub origin: String,
}

/// One archive with the suites that are taken from it.
struct Archive {
    uri: String,
    suites: String,
}

/// Chooses archives. `wanted` is the request's or the configuration's mirror: one URI, or two (packages, security
/// updates) with a blank between them. `keyring` is the file of keys on the host.
pub fn plan_mirror(
    recipe: &Recipe,
    wanted: Option<&str>,
    host: &[Source],
    keyring: &str,
) -> Result<Mirror, BuildError> {
    let public = public_uris(recipe);
    let chosen = match wanted {
        Some(wanted) => wanted_uris(wanted, recipe, &public)?,
        None => host_uris(recipe.release, host).unwrap_or_else(|| public.clone()),
    };
    let archives = list_archives(recipe.release, &chosen);
    let components = Recipe::components(recipe.release.distribution);
    let lines = archives
        .iter()
        .flat_map(|archive| archive.suites.split(' ').map(move |suite| (archive, suite)))
        .map(|(archive, suite)| {
            format!(
                "deb [signed-by={keyring}] {} {suite} {components}",
                archive.uri
            )
        })
        .collect();
    // An image may go to other machines: neither a password nor a name that only this host knows may be in it.
    let portable = [&chosen.main, &chosen.security]
        .iter()
        .all(|uri| is_portable(uri));
    let inside = list_archives(recipe.release, if portable { &chosen } else { &public });
    Ok(Mirror {
        lines,
        inside: render_deb822(recipe.release.distribution, &inside),
        origin: host_of(&chosen.main).to_owned(),
    })
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Uris {
    main: String,
    security: String,
}

fn public_uris(recipe: &Recipe) -> Uris {
    let (main, security) = match (recipe.release.distribution, recipe.architecture) {
        (Distribution::Debian, _) => (
            "http://deb.debian.org/debian",
            "http://deb.debian.org/debian-security",
        ),
        (Distribution::Ubuntu, "amd64" | "i386") => (
            "http://archive.ubuntu.com/ubuntu",
            "http://security.ubuntu.com/ubuntu",
        ),
        (Distribution::Ubuntu, _) => (
            "http://ports.ubuntu.com/ubuntu-ports",
            "http://ports.ubuntu.com/ubuntu-ports",
        ),
    };
    Uris {
        main: main.to_owned(),
        security: security.to_owned(),
    }
}

fn wanted_uris(wanted: &str, recipe: &Recipe, public: &Uris) -> Result<Uris, BuildError> {
    let uris: Vec<&str> = wanted.split_whitespace().collect();
    let known = |uri: &&str| {
        ["http://", "https://"]
            .iter()
            .any(|scheme| uri.starts_with(scheme))
    };
    if uris.is_empty() || uris.len() > 2 || !uris.iter().all(known) {
        return Err(BuildError::UnknownName {
            kind: "mirror",
            name: wanted.to_owned(),
            hint:
                "a mirror is `http://…` or `https://…`, and after a blank that of security updates"
                    .to_owned(),
        });
    }
    let main = uris[0].trim_end_matches('/').to_owned();
    let security = match (uris.get(1), recipe.release.distribution) {
        (Some(security), _) => security.trim_end_matches('/').to_owned(),
        // Ubuntu's mirrors have everything; Debian's security updates are an archive of their own, which few mirrors carry.
        (None, Distribution::Ubuntu) => main.clone(),
        (None, Distribution::Debian) => public.security.clone(),
    };
    Ok(Uris { main, security })
}

/// The host's archives, if they are of the same distribution: they serve other releases as well.
fn host_uris(release: &Release, host: &[Source]) -> Option<Uris> {
    let name = release.distribution.name();
    let usable: Vec<&Source> = host
        .iter()
        .filter(|source| source.uri.starts_with("http://") || source.uri.starts_with("https://"))
        .filter(|source| {
            source
                .components
                .iter()
                .any(|component| component == "main")
        })
        .filter(|source| source.uri.contains(name))
        .collect();
    let is_security = |source: &&&Source| {
        source.uri.contains("security")
            || source
                .suites
                .iter()
                .all(|suite| suite.contains("-security"))
    };
    let main = usable.iter().find(|source| !is_security(source))?;
    let security = usable.iter().find(is_security);
    // Debian's snapshots hold one moment of few releases; elsewhere, they are of no use.
    let fits = !main.uri.contains("snapshot.debian.org");
    fits.then(|| Uris {
        main: main.uri.trim_end_matches('/').to_owned(),
        security: security.map_or_else(
            || match release.distribution {
                Distribution::Debian => "http://deb.debian.org/debian-security".to_owned(),
                Distribution::Ubuntu => main.uri.trim_end_matches('/').to_owned(),
            },
            |source| source.uri.trim_end_matches('/').to_owned(),
        ),
    })
}

fn list_archives(release: &Release, uris: &Uris) -> Vec<Archive> {
    let suite = release.codename;
    match release.updates {
        Updates::Rolling => vec![Archive {
            uri: uris.main.clone(),
            suites: suite.to_owned(),
        }],
        Updates::Stable => vec![
            Archive {
                uri: uris.main.clone(),
                suites: format!("{suite} {suite}-updates"),
            },
            Archive {
                uri: uris.security.clone(),
                suites: format!("{suite}-security"),
            },
        ],
    }
}

fn render_deb822(distribution: Distribution, archives: &[Archive]) -> String {
    let stanzas: Vec<String> = archives
        .iter()
        .map(|archive| {
            format!(
                "Types: deb\nURIs: {}\nSuites: {}\nComponents: {}\nSigned-By: /usr/share/keyrings/{}\n",
                archive.uri,
                archive.suites,
                Recipe::components(distribution),
                distribution.keyring()
            )
        })
        .collect();
    stanzas.join("\n")
}

fn host_of(uri: &str) -> &str {
    let authority = uri.split("://").nth(1).unwrap_or(uri);
    let authority = authority.split('/').next().unwrap_or(authority);
    authority.rsplit('@').next().unwrap_or(authority)
}

fn is_portable(uri: &str) -> bool {
    let authority = uri.split('/').nth(2).unwrap_or_default();
    let host = host_of(uri).split(':').next().unwrap_or_default();
    !authority.contains('@')
        && host != "localhost"
        && !host.starts_with("127.")
        && !host.starts_with('[')
}

#[cfg(test)]
mod tests;
