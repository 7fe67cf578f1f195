//! Decides where packages are taken from, and what the image's own apt is told. Pure.
//!
//! In this order: the mirror of the request, that of the configuration, the host's own when it serves the same
//! distribution, and else the distribution's own, which mmdebstrap knows by the suite.

use super::apt::Source;
use super::error::BuildError;
use super::recipe::Recipe;
use super::release::{Distribution, Release, Updates};

/// The archives for one build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// Lines of sources.list(5) for mmdebstrap; none where it is to use what it knows itself.
    pub lines: Vec<String>,
    /// The image's own sources, in deb822 format; `None` for those that the distribution itself names.
    pub inside: Option<String>,
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
    let near = host_uris(recipe.release, host);
    let chosen = match wanted {
        Some(wanted) => Some(wanted_uris(wanted, recipe)?),
        None => near.clone(),
    };
    let Some(chosen) = chosen else {
        return Ok(Mirror {
            lines: Vec::new(),
            inside: None,
            origin: "the distribution's own archive".to_owned(),
        });
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
    let inside = [Some(&chosen), near.as_ref()]
        .into_iter()
        .flatten()
        .find(|uris| uris.are_portable())
        .map(|uris| {
            let archives = list_archives(recipe.release, uris);
            render_deb822(recipe.release.distribution, &archives)
        });
    Ok(Mirror {
        lines,
        inside,
        origin: host_of(&chosen.main).to_owned(),
    })
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Uris {
    main: String,
    security: String,
}

impl Uris {
    /// The archive of the security updates stands beside the main one unless somebody says otherwise.
    fn new(main: &str, security: Option<&str>, distribution: Distribution) -> Self {
        let main = main.trim_end_matches('/').to_owned();
        let security = match (security, distribution) {
            (Some(security), _) => security.trim_end_matches('/').to_owned(),
            // Ubuntu's mirrors have everything in one.
            (None, Distribution::Ubuntu) => main.clone(),
            (None, Distribution::Debian) => format!("{main}-security"),
        };
        Self { main, security }
    }

    fn are_portable(&self) -> bool {
        is_portable(&self.main) && is_portable(&self.security)
    }
}

fn wanted_uris(wanted: &str, recipe: &Recipe) -> Result<Uris, BuildError> {
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
    Ok(Uris::new(
        uris[0],
        uris.get(1).copied(),
        recipe.release.distribution,
    ))
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
    // Snapshots of an archive hold one moment of few releases; elsewhere, they are of no use.
    let fits = !host_of(&main.uri).starts_with("snapshot.");
    fits.then(|| {
        let security = security.map(|source| source.uri.as_str());
        Uris::new(&main.uri, security, release.distribution)
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
