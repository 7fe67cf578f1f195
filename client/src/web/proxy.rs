//! Which proxy the environment names for a server. Pure but for reading the environment.

use hyper::Uri;

use crate::tls::{Address, base64};

/// A proxy that is reached by HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proxy {
    pub(super) address: Address,
    /// For `Proxy-Authorization`.
    pub(super) authorization: Option<String>,
}

impl Proxy {
    /// What `http_proxy`, `https_proxy` and `no_proxy` say, in either case; an address that makes no sense is an error.
    pub(super) fn from_env(uri: &Uri) -> Result<Option<Self>, String> {
        Self::find(uri, |name| std::env::var(name).ok())
    }

    fn find(uri: &Uri, lookup: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, String> {
        let value = |name: &str| {
            lookup(name)
                .or_else(|| lookup(&name.to_ascii_uppercase()))
                .filter(|value| !value.is_empty())
        };
        let name = if super::is_tls(uri) {
            "https_proxy"
        } else {
            "http_proxy"
        };
        let exceptions = value("no_proxy").unwrap_or_default();
        if is_excepted(&exceptions, uri.host().unwrap_or_default()) {
            return Ok(None);
        }
        value(name).map(|text| Self::parse(&text)).transpose()
    }

    fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is no address of a proxy: expected http://HOST:PORT");
        let whole = if text.contains("://") {
            text.to_owned()
        } else {
            format!("http://{text}")
        };
        let uri: Uri = whole.parse().map_err(|_| bad())?;
        let host = uri.host().filter(|_| uri.scheme_str() == Some("http"));
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let credentials = authority.rsplit_once('@').map(|(before, _)| before);
        Ok(Self {
            address: Address {
                host: host.ok_or_else(bad)?.trim_matches(['[', ']']).to_owned(),
                port: uri.port_u16().unwrap_or(80),
            },
            authorization: credentials.map(|credentials| {
                let credentials = crate::url::decode(credentials);
                format!("Basic {}", base64(credentials.as_bytes()))
            }),
        })
    }
}

fn is_excepted(exceptions: &str, host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    exceptions.split(',').map(str::trim).any(|entry| {
        let domain = entry.trim_start_matches('*').trim_start_matches('.');
        let within = host.strip_suffix(domain);
        entry == "*"
            || (!domain.is_empty()
                && within.is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_and_its_exceptions() {
        let find = |url: &str| {
            let lookup = |name: &str| match name {
                "http_proxy" => Some("http://me:a%20b@plain.example:3128/".to_owned()),
                "HTTPS_PROXY" => Some("near.example".to_owned()),
                "no_proxy" => Some("127.0.0.1, .lan,example.org".to_owned()),
                _ => None,
            };
            Proxy::find(&url.parse().unwrap(), lookup).unwrap()
        };
        let plain = find("http://x/").unwrap();
        assert_eq!(plain.address.to_string(), "plain.example:3128");
        assert_eq!(plain.authorization.as_deref(), Some("Basic bWU6YSBi"));
        let near = find("https://x/").unwrap();
        assert_eq!(
            (near.address.to_string(), near.authorization),
            ("near.example:80".to_owned(), None)
        );
        for direct in [
            "http://127.0.0.1:8/",
            "http://nas.lan/",
            "https://www.example.org/",
        ] {
            assert_eq!(find(direct), None, "{direct}");
        }
        assert!(find("http://notexample.org/").is_some());
    }

    #[test]
    fn addresses_that_make_no_sense_are_told() {
        for bad in ["https://near:1", "socks5://near", "http://"] {
            let lookup = |name: &str| (name == "http_proxy").then(|| bad.to_owned());
            let error = Proxy::find(&"http://x/".parse().unwrap(), lookup).unwrap_err();
            assert!(error.contains(bad), "{error}");
        }
    }
}
