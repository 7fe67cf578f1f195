//! Reads what the host's own apt is told: sources (sources.list(5), both formats) and proxies (apt.conf(5)).
//!
//! Only the files of the distribution itself are looked at: a third party's archive may use the same suite names.

use std::path::Path;

/// One archive of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Where it is.
    pub uri: String,
    /// Its suites, `bookworm bookworm-updates`.
    pub suites: Vec<String>,
    /// Its components, `main`.
    pub components: Vec<String>,
}

/// The proxies of the host's apt, as URLs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `http:` mirrors.
    pub http: Option<String>,
    /// For `https:` mirrors.
    pub https: Option<String>,
}

/// Reads the distribution's own source files below `/etc/apt` (or another directory); none if they can't be read.
pub fn load_sources(directory: &Path) -> Vec<Source> {
    let read = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap_or_default();
    let mut sources = parse_one_line(&read("sources.list"));
    for name in ["debian.sources", "ubuntu.sources"] {
        sources.extend(parse_deb822(&read(&format!("sources.list.d/{name}"))));
    }
    sources
}

/// Parses the traditional format: `deb [options] uri suite component…`.
pub fn parse_one_line(text: &str) -> Vec<Source> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Source> {
    let line = line.split('#').next()?.trim();
    let rest = line.strip_prefix("deb")?;
    // `deb-src` is not for us.
    let rest = rest.strip_prefix(char::is_whitespace)?.trim_start();
    let rest = match rest.strip_prefix('[') {
        Some(options) => options.split_once(']')?.1,
        None => rest,
    };
    let mut words = rest.split_whitespace().map(str::to_owned);
    Some(Source {
        uri: words.next()?,
        suites: vec![words.next()?],
        components: words.collect(),
    })
}

/// Parses stanzas of fields: `Types`, `URIs`, `Suites`, `Components`, `Enabled`.
pub fn parse_deb822(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut stanza: Vec<(String, String)> = Vec::new();
    for line in text.lines().chain([""]) {
        if line.trim().is_empty() {
            sources.extend(read_stanza(&std::mem::take(&mut stanza)));
        } else if line.starts_with('#') {
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = stanza.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((key, value)) = line.split_once(':') {
            stanza.push((key.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    sources
}

fn read_stanza(stanza: &[(String, String)]) -> Vec<Source> {
    let words = |key: &str| -> Vec<String> {
        let found = stanza.iter().find(|(name, _)| name == key);
        found.map_or_else(Vec::new, |(_, value)| {
            value.split_whitespace().map(str::to_owned).collect()
        })
    };
    let disabled = words("enabled").iter().any(|word| word == "no");
    if disabled || !words("types").iter().any(|word| word == "deb") {
        return Vec::new();
    }
    words("uris")
        .into_iter()
        .map(|uri| Source {
            uri,
            suites: words("suites"),
            components: words("components"),
        })
        .collect()
}

/// Asks the host's apt for its proxies; none where there is no apt.
pub fn load_proxies() -> Proxies {
    let dump = rlxc_sys::tool::Tool::new("apt-config")
        .args(["dump", "--format", "%F=%v%n", "Acquire"])
        .run();
    dump.map(|text| parse_proxies(&String::from_utf8_lossy(&text)))
        .unwrap_or_default()
}

/// Parses lines of `apt-config dump --format %F=%v%n`.
pub fn parse_proxies(dump: &str) -> Proxies {
    let find = |key: &str| {
        dump.lines()
            .filter_map(|line| line.split_once('='))
            .find(|(name, value)| name.eq_ignore_ascii_case(key) && !value.is_empty())
            .map(|(_, value)| value.to_owned())
            .filter(|value| value != "DIRECT")
    };
    let http = find("Acquire::http::Proxy");
    Proxies {
        https: find("Acquire::https::Proxy").or_else(|| http.clone()),
        http,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_traditional_format() {
        let text = "# comment\ndeb http://a.example/debian/ bookworm main contrib # why\n\
                    deb-src http://a.example/debian bookworm main\n\
                    deb [arch=amd64 signed-by=/x.gpg] https://b.example/debian-security bookworm-security main\n";
        let sources = parse_one_line(text);
        assert_eq!(sources.len(), 2);
        assert_eq!(sources[0].uri, "http://a.example/debian/");
        assert_eq!(sources[0].components, ["main", "contrib"]);
        assert_eq!(sources[1].suites, ["bookworm-security"]);
    }

    #[test]
    fn reads_stanzas() {
        let text = "Types: deb deb-src\n# comment\nURIs: http://a.example/debian\n http://b.example/debian\n\
                    Suites: bookworm\n bookworm-updates\nComponents: main\n\n\
                    Enabled: no\nTypes: deb\nURIs: http://c.example\nSuites: x\n\nTypes: deb-src\nURIs: http://d.example\n";
        let sources = parse_deb822(text);
        assert_eq!(sources.len(), 2);
        assert_eq!(sources[1].uri, "http://b.example/debian");
        assert_eq!(sources[1].suites, ["bookworm", "bookworm-updates"]);
    }

    #[test]
    fn reads_proxies() {
        let dump = "Acquire::http::Proxy=http://cache.example:3142\nAcquire::http::Proxy::direct.example=DIRECT\n";
        let proxies = parse_proxies(dump);
        assert_eq!(proxies.http.as_deref(), Some("http://cache.example:3142"));
        assert_eq!(proxies.https, proxies.http);
        assert_eq!(
            parse_proxies("Acquire::http::Proxy=DIRECT\n"),
            Proxies::default()
        );
    }
}
