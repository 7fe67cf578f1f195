//! Keys of the server.

use rlxc_storage::image::Algorithm;

use super::kind::{self, Kind};
use super::{Group, Key, Scope};
use crate::simplestreams::architecture;
use crate::trust;

/// Keys of the server.
pub const SCOPE: Scope = Scope {
    entity: "server",
    called: "server key",
    groups: &[
        Group {
            name: "backups",
            keys: BACKUPS,
        },
        Group {
            name: "core",
            keys: CORE,
        },
        Group {
            name: "images",
            keys: IMAGES,
        },
        Group {
            name: "miscellaneous",
            keys: MISCELLANEOUS,
        },
    ],
};

#[rustfmt::skip]
const BACKUPS: &[Key] = &[
    Key::new("backups.compression_algorithm", Kind::Form(is_compression, "one of none, gzip, zstd, xz, which a level may follow: zstd -19"), "How backups are compressed that say nothing of it").or("zstd").live(),
];

#[rustfmt::skip]
const CORE: &[Key] = &[
    Key::new("core.dns_address", Kind::Form(|text| crate::dns::parse_address(text).is_some(), "an address such as :53 or 10.0.0.1:5353"), "Where DNS zones are given out").or("nowhere").live(),
    Key::new("core.https_address", ADDRESSES, "Where the API is open to the network").or("nowhere").live(),
    Key::new("core.https_allowed_credentials", Kind::Bool, "Whether pages of the allowed site may use the certificate that the browser has").or("false").when("`core.https_allowed_origin` is set").live(),
    Key::new("core.https_allowed_headers", HEADER, "Headers that requests of the allowed site may have, with commas between them").when("`core.https_allowed_origin` is set").live(),
    Key::new("core.https_allowed_methods", HEADER, "Methods that the allowed site may use, with commas between them").when("`core.https_allowed_origin` is set").live(),
    Key::new("core.https_allowed_origin", HEADER, "A site whose pages may use the API in a browser, such as https://ui.example").or("none").live(),
    Key::new("core.https_trusted_proxy", kind::ADDRESSES, "Proxies in front of the API that are believed when they say for whom they connect (PROXY protocol)").or("none").live(),
    Key::new("core.metrics_address", ADDRESSES, "Where metrics are served and nothing else").or("nowhere").live(),
    Key::new("core.metrics_authentication", Kind::Bool, "Whether metrics are for trusted clients only").or("true").live(),
    Key::new("core.proxy_http", Kind::Text, "URL of the proxy for http").or("`http_proxy` of the environment").live(),
    Key::new("core.proxy_https", Kind::Text, "URL of the proxy for https").or("`https_proxy` of the environment").live(),
    Key::new("core.proxy_ignore_hosts", Kind::Text, "Hosts and domains that are reached without a proxy, with commas between them").or("`no_proxy` of the environment").live(),
    Key::new("core.remote_token_expiry", kind::LIFETIME, "How long a join token is good").or("for ever").live(),
    Key::new("core.shutdown_timeout", kind::COUNT, "Minutes that operations are waited for when the daemon is told to shut down; by `admin shutdown --force` none").or("5").live(),
    Key::new("core.trust_ca_certificates", Kind::Bool, "Whether a client is trusted because the authority has signed its certificate").or("false").when("there is a `server.ca` in the daemon's directory").live(),
    Key::new("core.trust_password", Kind::Text, "Lets clients in that have no token; shown as `true`").live(),
];

#[rustfmt::skip]
const IMAGES: &[Key] = &[
    Key::new("images.auto_update_cached", Kind::Bool, "Whether images that a launch brought here are kept up to date").or("true").live(),
    Key::new("images.auto_update_interval", kind::COUNT, "Hours between two looks for newer images; 0 for never").or("6").live(),
    Key::new("images.build.mirror", Kind::Text, "URL of the mirror that images are built from").or("the distribution's").live(),
    Key::new("images.compression_algorithm", Kind::Form(is_compression, "one of none, gzip, zstd, xz, which a level may follow: zstd -19"), "How published images are compressed").or("zstd").live(),
    Key::new("images.default_architecture", Kind::Form(is_architecture, "an architecture such as x86_64 or aarch64"), "Which images are meant where their name does not say").or("the host's").live(),
    Key::new("images.remote_cache_expiry", kind::COUNT, "Days after which an image that a launch brought here goes if nobody used it; 0 for never").or("10").live(),
];

#[rustfmt::skip]
const MISCELLANEOUS: &[Key] = &[Key::new("user.*", Kind::Text, "Free for users").live()];

const ADDRESSES: Kind = Kind::Form(
    is_listening,
    "a list of addresses such as :8443, 10.0.0.1:8443 or [fd00::1]:8443",
);
const HEADER: Kind = Kind::Form(
    |text| axum::http::HeaderValue::from_str(text).is_ok(),
    "a text that can be put into a header",
);

fn is_listening(text: &str) -> bool {
    trust::parse_addresses(text).is_ok()
}

fn is_architecture(text: &str) -> bool {
    architecture::debian_name(text).is_some()
}

fn is_compression(text: &str) -> bool {
    text.parse::<Algorithm>().is_ok()
}
