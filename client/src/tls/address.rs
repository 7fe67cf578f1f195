//! Host and port, as people write them.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// Where LXD and its relatives listen.
pub const DEFAULT_PORT: u16 = 8443;

/// Host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Name or address; IPv6 without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl FromStr for Address {
    type Err = String;

    /// Reads `host`, `host:port`, `1.2.3.4`, `::1`, `[::1]:port`, each with `https://` before it or not.
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || {
            format!(
                "`{text}` is no address: expected HOST, HOST:PORT, or https:// and one of these"
            )
        };
        if text.contains("://") && !text.starts_with("https://") {
            return Err(bad());
        }
        let rest = text.strip_prefix("https://").unwrap_or(text);
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.parse::<Ipv6Addr>().is_ok() {
            return Ok(Self {
                host: rest.to_owned(),
                port: DEFAULT_PORT,
            });
        }
        let (host, port) = match rest.strip_prefix('[') {
            Some(inside) => {
                let (host, after) = inside.split_once(']').ok_or_else(bad)?;
                host.parse::<Ipv6Addr>().map_err(|_| bad())?;
                let port = match after {
                    "" => None,
                    after => Some(after.strip_prefix(':').ok_or_else(bad)?),
                };
                (host, port)
            }
            None => match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
        if host.is_empty() || !host.chars().all(fits) {
            return Err(bad());
        }
        let port = port.map_or(Ok(DEFAULT_PORT), |port| port.parse().map_err(|_| bad()))?;
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, expected) in [
            ("box", "box:8443"),
            ("https://box", "box:8443"),
            ("https://box:443/", "box:443"),
            ("10.0.0.1:9", "10.0.0.1:9"),
            ("::1", "[::1]:8443"),
            ("[fd00::1]", "[fd00::1]:8443"),
            ("https://[fd00::1]:9", "[fd00::1]:9"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "http://box",
            "https://",
            "a/b",
            "box:x",
            "[::1",
            "[box]",
            "box:1:2",
            "unix:///x",
            "a b",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
