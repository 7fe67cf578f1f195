//! dnsmasq's file of leases: one a line, IPv6 ones after a line `duid …`; pure but for the reading.

use std::net::IpAddr;
use std::path::Path;

use rlxc_sys::file::{self, Durability};

use crate::{Error, Mac};

/// An address that was handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The client's name, where it has one.
    pub hostname: Option<String>,
    /// The client's Ethernet address; of DHCPv6 clients only where their identifier holds it.
    pub hwaddr: Option<Mac>,
    /// The address.
    pub address: IpAddr,
    /// Seconds since the epoch; `None` if it never ends.
    pub expires: Option<u64>,
    /// The DHCPv4 client's identifier, as bytes.
    pub client_id: Option<Vec<u8>>,
}

pub(super) fn read(path: &Path) -> Result<Vec<Lease>, Error> {
    match file::read_text(path) {
        Ok(text) => Ok(parse(&text)),
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// Makes `to` say what `from` says, if that is there.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    let text = match file::read_text(from) {
        Err(error) if error.is_not_found() => return Ok(()),
        text => text?,
    };
    if file::read_text(to).is_ok_and(|present| present == text) {
        return Ok(());
    }
    file::write_atomic(to, text.as_bytes(), 0o644, Durability::Volatile)?;
    Ok(())
}

/// Lines that are cut off (dnsmasq rewrites the file in place) are left out.
fn parse(text: &str) -> Vec<Lease> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Lease> {
    let mut fields = line.split(' ');
    let expires = fields.next()?.parse().ok().filter(|expires| *expires > 0);
    let client = fields.next()?;
    let address: IpAddr = fields.next()?.parse().ok()?;
    let hostname = Some(fields.next()?)
        .filter(|name| *name != "*")
        .map(str::to_owned);
    let id = parse_bytes(fields.next()?);
    let (hwaddr, client_id) = match address {
        // Other media than Ethernet are written with their number and a dash in front.
        IpAddr::V4(_) => (client.parse().ok(), id),
        IpAddr::V6(_) => (id.as_deref().and_then(mac_of_duid), None),
    };
    Some(Lease {
        hostname,
        hwaddr,
        address,
        expires,
        client_id,
    })
}

fn parse_bytes(text: &str) -> Option<Vec<u8>> {
    text.split(':')
        .map(|byte| u8::from_str_radix(byte, 16).ok())
        .collect()
}

/// DUIDs of kinds 1 (with time) and 3 (without) end in the Ethernet address; see RFC 8415, section 11.
fn mac_of_duid(duid: &[u8]) -> Option<Mac> {
    match duid {
        [0, 1, 0, 1, _, _, _, _, mac @ ..] | [0, 3, 0, 1, mac @ ..] => mac.try_into().ok().map(Mac),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_both_families() {
        let text = "1763669000 00:16:3e:01:02:03 10.1.2.3 dev1 01:00:16:3e:01:02:03\n\
            0 00:16:3e:01:02:04 10.1.2.4 * *\n\
            duid 00:01:00:01:2e:b1:86:ac:ae:61:4c:01:02:03\n\
            1763669000 123 fd42::5 dev1 00:03:00:01:00:16:3e:01:02:03\n\
            17636690";
        let leases = parse(text);
        assert_eq!(leases.len(), 3);
        assert_eq!(leases[0].hostname.as_deref(), Some("dev1"));
        assert_eq!(leases[0].expires, Some(1_763_669_000));
        assert_eq!(
            leases[0].client_id.as_deref(),
            Some(&[1, 0, 0x16, 0x3e, 1, 2, 3][..])
        );
        assert_eq!(
            (&leases[1].hostname, leases[1].expires, &leases[1].client_id),
            (&None, None, &None)
        );
        assert_eq!(leases[2].hwaddr, leases[0].hwaddr);
    }

    proptest! {
        #[test]
        fn no_text_panics(text: String) {
            parse(&text);
        }
    }

    #[test]
    fn a_copy_says_the_same_and_stays_when_the_first_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        copy(&from, &to).unwrap();
        assert!(!to.exists());
        for text in ["1763669000 00:16:3e:01:02:03 10.1.2.3 c1 *\n", ""] {
            std::fs::write(&from, text).unwrap();
            copy(&from, &to).unwrap();
            assert_eq!(std::fs::read_to_string(&to).unwrap(), text);
        }
        std::fs::remove_file(&from).unwrap();
        copy(&from, &to).unwrap();
        assert!(to.exists());
    }
}
