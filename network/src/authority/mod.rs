//! DNS zones as their authority gives them out: whole, by AXFR (RFC 5936), to those who may have them, by their address or
//! by a TSIG key (RFC 8945). What the zone holds is told by the caller; nothing here asks or waits.

mod answer;
mod zone;

use std::net::IpAddr;

pub use answer::{Query, Transport, answer};
pub use zone::check_record;

/// A zone, with all that it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// Its name, without the last dot.
    pub name: String,
    /// Names of the servers that answer for it, the first of which is this one's.
    pub nameservers: Vec<String>,
    /// Grows whenever the zone changes.
    pub serial: u32,
    /// Everything but what makes it a zone.
    pub records: Vec<ZoneRecord>,
    /// Who may have it.
    pub peers: Vec<Peer>,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ZoneRecord {
    /// Its name, relative to the zone; `@` for the zone's own.
    pub name: String,
    /// How long others may remember it, in seconds.
    pub ttl: u32,
    /// `A`, `TXT`, …
    pub kind: String,
    /// As a zone file writes it.
    pub value: String,
}

/// Who may have a zone: whoever has the address, and knows the key, as far as either is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its name; that of its key is `ZONE_NAME`.
    pub name: String,
    /// Its address.
    pub address: Option<IpAddr>,
    /// Its key.
    pub key: Option<Vec<u8>>,
}

impl Peer {
    /// Whether it can be who asks from there; one without address and key is nobody.
    pub fn may_be_at(&self, from: IpAddr) -> bool {
        let is_somebody = self.address.is_some() || self.key.is_some();
        is_somebody
            && self
                .address
                .is_none_or(|address| address == from.to_canonical())
    }
}

/// A record that no zone can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{record}: {reason}")]
pub struct InvalidRecord {
    /// As it was written.
    pub record: String,
    /// What is wrong with it.
    pub reason: String,
}
