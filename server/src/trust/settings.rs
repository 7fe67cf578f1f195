//! The keys of the server that say who may come in, parsed.

use std::net::IpAddr;

use super::{Door, ListenAddress, Place, parse_addresses};
use crate::keys::parse_bool;
use crate::model::Config;

/// Where the API listens.
const HTTPS_ADDRESS: &str = "core.https_address";
/// Where metrics are served and nothing else.
const METRICS_ADDRESS: &str = "core.metrics_address";
const METRICS_AUTHENTICATION: &str = "core.metrics_authentication";
const TRUST_CA: &str = "core.trust_ca_certificates";
const TRUSTED_PROXY: &str = "core.https_trusted_proxy";
const ALLOWED_ORIGIN: &str = "core.https_allowed_origin";
const ALLOWED_METHODS: &str = "core.https_allowed_methods";
const ALLOWED_HEADERS: &str = "core.https_allowed_headers";
const ALLOWED_CREDENTIALS: &str = "core.https_allowed_credentials";

/// What the keys say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Where the API listens.
    pub api: Vec<ListenAddress>,
    /// Where metrics are served and nothing else.
    pub metrics: Vec<ListenAddress>,
    /// Whether anybody may read metrics.
    pub open_metrics: bool,
    /// Whether it is enough that the authority has signed a client's certificate.
    pub trust_authority: bool,
    /// Proxies that are believed for whom they open a connection.
    pub proxies: Vec<IpAddr>,
    /// What pages of other sites may do.
    pub cross_origin: CrossOrigin,
}

/// What pages of another site may do with the API in a browser that has a trusted certificate. All of it goes into headers of
/// replies, see the Fetch standard, "CORS protocol".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CrossOrigin {
    /// The site; none but ours where it is empty.
    pub origin: String,
    /// Methods, joined by commas.
    pub methods: String,
    /// Headers of requests, joined by commas.
    pub headers: String,
    /// Whether with the certificate.
    pub credentials: bool,
}

impl Settings {
    /// Reads them, as `crate::keys` has let them pass; an error names the key.
    pub fn parse(config: &Config) -> Result<Self, String> {
        let text = |key: &str| config.get(key).map_or("", String::as_str);
        let is = |key: &str, default: bool| parse_bool(text(key)).unwrap_or(default);
        let addresses =
            |key: &str| parse_addresses(text(key)).map_err(|problem| format!("`{key}`: {problem}"));
        let settings = Self {
            api: addresses(HTTPS_ADDRESS)?,
            metrics: addresses(METRICS_ADDRESS)?,
            open_metrics: !is(METRICS_AUTHENTICATION, true),
            trust_authority: is(TRUST_CA, false),
            proxies: text(TRUSTED_PROXY)
                .split(',')
                .filter_map(|one| one.trim().parse().ok())
                .collect(),
            cross_origin: CrossOrigin {
                origin: text(ALLOWED_ORIGIN).to_owned(),
                methods: text(ALLOWED_METHODS).to_owned(),
                headers: text(ALLOWED_HEADERS).to_owned(),
                credentials: is(ALLOWED_CREDENTIALS, false),
            },
        };
        if let Some(both) = settings
            .metrics
            .iter()
            .find(|one| settings.api.contains(one))
        {
            return Err(format!(
                "`{METRICS_ADDRESS}`: {both} is in `{HTTPS_ADDRESS}` already, where metrics are served too"
            ));
        }
        Ok(settings)
    }

    /// All sockets.
    pub fn places(&self) -> Vec<Place> {
        let api = self.api.iter().map(|address| (*address, Door::Api));
        let metrics = self.metrics.iter().map(|address| (*address, Door::Metrics));
        api.chain(metrics).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, String> {
        let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Settings::parse(&pairs.iter().map(pair).collect())
    }

    #[test]
    fn nothing_said_is_nothing_open() {
        assert_eq!(read(&[]).unwrap(), Settings::default());
    }

    #[test]
    fn metrics_have_addresses_of_their_own() {
        let both = read(&[
            (HTTPS_ADDRESS, ":8443"),
            (METRICS_ADDRESS, "127.0.0.1:9100"),
        ])
        .unwrap();
        assert_eq!(both.places()[1].1, Door::Metrics);
        let text = read(&[(HTTPS_ADDRESS, ":8443"), (METRICS_ADDRESS, ":8443")]).unwrap_err();
        assert!(text.contains("core.metrics_address"), "{text}");
        let text = read(&[(METRICS_ADDRESS, "x")]).unwrap_err();
        assert!(text.contains("core.metrics_address"), "{text}");
    }
}
