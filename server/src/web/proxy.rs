//! Which proxy a request goes through: the configuration's, or the environment's. Pure but for reading the environment.

use super::url::Url;

/// Proxies and exceptions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProxySettings {
    /// URL for `http:`; `core.proxy_http`.
    pub http: Option<String>,
    /// URL for `https:`; `core.proxy_https`.
    pub https: Option<String>,
    /// Hosts and domains that are reached directly, with commas between them; `core.proxy_ignore_hosts`.
    pub ignore: String,
}

impl ProxySettings {
    /// What `http_proxy`, `https_proxy` and `no_proxy` say, in either case.
    pub fn from_env() -> Self {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let find = |name: &str| {
            lookup(name)
                .or_else(|| lookup(&name.to_ascii_uppercase()))
                .filter(|value| !value.is_empty())
        };
        Self {
            http: find("http_proxy"),
            https: find("https_proxy"),
            ignore: find("no_proxy").unwrap_or_default(),
        }
    }

    /// The proxy for a request, if there is one; an address that can't be parsed is an error of the request.
    pub(super) fn find(&self, url: &Url) -> Option<&str> {
        let proxy = if url.tls { &self.https } else { &self.http };
        proxy.as_deref().filter(|_| !self.is_ignored(&url.host))
    }

    fn is_ignored(&self, host: &str) -> bool {
        self.ignore
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .any(|entry| {
                let domain = entry.trim_start_matches('*').trim_start_matches('.');
                entry == "*"
                    || host == domain
                    || host
                        .strip_suffix(domain)
                        .is_some_and(|rest| rest.ends_with('.'))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_and_exceptions() {
        let settings = ProxySettings::from_lookup(|name| match name {
            "http_proxy" => Some("http://a:1".to_owned()),
            "HTTPS_PROXY" => Some("http://b:2".to_owned()),
            "no_proxy" => Some("localhost, .lan,example.org".to_owned()),
            _ => None,
        });
        let find = |url: &str| settings.find(&Url::parse(url).unwrap()).map(str::to_owned);
        assert_eq!(find("http://x/").as_deref(), Some("http://a:1"));
        assert_eq!(find("https://x/").as_deref(), Some("http://b:2"));
        for direct in [
            "http://localhost/",
            "http://nas.lan/",
            "https://www.example.org/",
        ] {
            assert_eq!(find(direct), None, "{direct}");
        }
        assert!(find("http://notexample.org/").is_some());
    }
}
