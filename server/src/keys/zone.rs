//! Keys of DNS zones and their records.

use super::kind::{self, Kind};
use super::{Group, Key, Scope};

/// Keys of zones.
#[rustfmt::skip]
pub const ZONE: Scope = Scope {
    entity: "network-zone",
    called: "key of a network zone",
    groups: &[Group {
        name: "network-zone-conf",
        keys: &[
            Key::new("dns.nameservers", Kind::Form(|text| kind::all(text, super::network::is_domain), "names of hosts, joined by commas"), "Names of the servers that answer for the zone").live(),
            Key::new("network.nat", Kind::Bool, "Whether what is behind NAT is in the zone").or("true").live(),
            Key::new("peers.*.address", kind::ADDRESS, "Address of a server that may have the zone").live(),
            Key::new("peers.*.key", Kind::Form(|text| parse_secret(text).is_some(), "a key in base64"), "TSIG key by which a server may have the zone; its name is `ZONE_PEER`").live(),
            Key::new("user.*", Kind::Text, "Free for users").live(),
        ],
    }],
};

/// Keys of records.
pub const RECORD: Scope = Scope {
    entity: "network-zone-record",
    called: "key of a record",
    groups: &[Group {
        name: "network-zone-record-conf",
        keys: &[Key::new("user.*", Kind::Text, "Free for users").live()],
    }],
};

/// The bytes of a TSIG key.
pub fn parse_secret(text: &str) -> Option<Vec<u8>> {
    let secret = openssl::base64::decode_block(text).ok()?;
    (!secret.is_empty()).then_some(secret)
}
