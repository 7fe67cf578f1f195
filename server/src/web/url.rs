//! The few URLs that requests need: `http` and `https`, a host, a port, a path. Pure.

use std::fmt;

use hyper::Uri;

use super::error::WebError;

/// An absolute address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    /// Whether TLS is spoken.
    pub tls: bool,
    /// A name or an address; IPv6 without brackets.
    pub host: String,
    /// 80 or 443 unless it says otherwise.
    pub port: u16,
    /// Path and query, beginning with `/`.
    pub path: String,
    /// `user:password`, for proxies.
    pub credentials: Option<String>,
}

impl Url {
    /// Parses `http://…` or `https://…`.
    pub(crate) fn parse(text: &str) -> Result<Self, WebError> {
        let bad = |reason| WebError::BadUrl {
            url: text.to_owned(),
            reason,
        };
        let uri: Uri = text.parse().map_err(|_| bad("it can't be parsed"))?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(bad("it begins with neither https:// nor http://")),
        };
        let authority = uri.authority().ok_or_else(|| bad("it has no host"))?;
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err(bad("it has no host"));
        }
        let user = authority.as_str().rsplit_once('@');
        Ok(Self {
            tls,
            host,
            port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            path: uri
                .path_and_query()
                .map_or("/", |path| path.as_str())
                .to_owned(),
            credentials: user.map(|(user, _)| user.to_owned()),
        })
    }

    /// A file below this address, which is taken as a directory.
    pub(crate) fn join(&self, path: &str) -> Self {
        let base = self.path.trim_end_matches('/');
        Self {
            path: format!("{base}/{}", path.trim_start_matches('/')),
            ..self.clone()
        }
    }

    /// Where a `Location` header points to, seen from here; see RFC 3986, section 5.
    pub(crate) fn resolve(&self, location: &str) -> Result<Self, WebError> {
        if location.contains("://") {
            return Self::parse(location);
        }
        if let Some(rest) = location.strip_prefix("//") {
            return Self::parse(&format!("{}://{rest}", self.scheme()));
        }
        if location.starts_with('/') {
            return Ok(Self {
                path: location.to_owned(),
                ..self.clone()
            });
        }
        let path = self.path.split('?').next().unwrap_or_default();
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        Ok(Self {
            path: format!("{directory}/{location}"),
            ..self.clone()
        })
    }

    /// `http` or `https`.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    /// For the `Host` header and for CONNECT: the port is left out where it is the usual one.
    pub(crate) fn authority(&self) -> String {
        let usual = if self.tls { 443 } else { 80 };
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        if self.port == usual {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }
}

/// Never shows credentials.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme(), self.authority(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn parses_what_servers_are_called() {
        assert_eq!(
            url("https://images.example").to_string(),
            "https://images.example/"
        );
        assert_eq!(url("http://[::1]:8080/a/").authority(), "[::1]:8080");
        assert_eq!(
            url("http://u:p@proxy.example:3128").credentials.as_deref(),
            Some("u:p")
        );
        assert_eq!(
            url("http://u:p@proxy.example:3128").to_string(),
            "http://proxy.example:3128/"
        );
        for bad in ["images.example", "ftp://x", "https://", "", "https://x:y z"] {
            assert!(Url::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn joins_and_follows() {
        assert_eq!(
            url("https://a/base/").join("streams/x").to_string(),
            "https://a/base/streams/x"
        );
        let here = url("https://a/b/c?q");
        assert_eq!(
            here.resolve("http://x:1/y").unwrap().to_string(),
            "http://x:1/y"
        );
        assert_eq!(here.resolve("//x/y").unwrap().to_string(), "https://x/y");
        assert_eq!(here.resolve("/y").unwrap().to_string(), "https://a/y");
        assert_eq!(here.resolve("y").unwrap().to_string(), "https://a/b/y");
    }
}
