//! Hardware addresses of links of any kind.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Mac;
use crate::mac::{octet, write_octets};

/// `MAX_ADDR_LEN` of include/linux/netdevice.h.
const LONGEST: usize = 32;
/// That of IP over `InfiniBand`: flags and queue pair, 4 bytes, subnet prefix, 8 bytes, GUID of the port, 8 bytes; RFC 4391, 9.1.1.
const IPOIB: usize = 20;
/// What only the end of it is.
const GUID: usize = 8;

/// The hardware address of a link: 6 bytes of Ethernet, 20 of IP over `InfiniBand`. Written `00:16:3e:aa:bb:cc`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LinkAddress(Vec<u8>);

/// The text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an address: bytes of two hexadecimal digits, with colons between them")]
pub struct InvalidAddress(pub String);

impl LinkAddress {
    /// What the kernel says; nothing where a link has no address.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let fits = (1..=LONGEST).contains(&bytes.len());
        fits.then(|| Self(bytes.to_vec()))
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The address, where it is one of Ethernet.
    pub fn mac(&self) -> Option<Mac> {
        self.0.as_slice().try_into().ok().map(Mac)
    }

    /// Whether it is one of IP over `InfiniBand`, whole.
    pub fn is_ipoib(&self) -> bool {
        self.0.len() == IPOIB
    }

    /// What is before the GUID in an address of IP over `InfiniBand`.
    pub fn prefix(&self) -> Option<&[u8]> {
        self.is_ipoib().then(|| &self.0[..IPOIB - GUID])
    }

    /// The GUID of an address of IP over `InfiniBand`, or one that stands alone.
    pub fn guid(&self) -> Option<&[u8]> {
        let has_one = matches!(self.0.len(), IPOIB | GUID);
        has_one.then(|| &self.0[self.0.len() - GUID..])
    }

    /// The address to set on a link that has `current`. Of IP over `InfiniBand` the kernel takes another GUID only: the rest is
    /// the queue pair's and the subnet's.
    #[must_use]
    pub fn over(&self, current: Option<&Self>) -> Self {
        match (current.and_then(Self::prefix), self.guid()) {
            (Some(prefix), Some(guid)) => Self([prefix, guid].concat()),
            _ => self.clone(),
        }
    }
}

impl From<Mac> for LinkAddress {
    fn from(mac: Mac) -> Self {
        Self(mac.0.to_vec())
    }
}

impl fmt::Display for LinkAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_octets(f, &self.0)
    }
}

impl FromStr for LinkAddress {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let bytes: Option<Vec<u8>> = text.split(':').map(octet).collect();
        bytes
            .and_then(|bytes| Self::new(&bytes))
            .ok_or_else(|| InvalidAddress(text.to_owned()))
    }
}

impl TryFrom<String> for LinkAddress {
    type Error = InvalidAddress;

    fn try_from(text: String) -> Result<Self, InvalidAddress> {
        text.parse()
    }
}

impl From<LinkAddress> for String {
    fn from(address: LinkAddress) -> Self {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_there_and_back(bytes in proptest::collection::vec(any::<u8>(), 1..=LONGEST)) {
            let address = LinkAddress::new(&bytes).unwrap();
            prop_assert_eq!(address.to_string().parse(), Ok(address));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _parsed: Result<LinkAddress, _> = text.parse();
        }
    }

    const PORT: &str = "80:00:02:08:fe:80:00:00:00:00:00:00:00:02:c9:03:00:0a:0b:0c";

    fn address(text: &str) -> LinkAddress {
        text.parse().unwrap()
    }

    #[test]
    fn another_guid_keeps_the_queue_pair() {
        let port = address(PORT);
        let wanted = "80:00:02:08:fe:80:00:00:00:00:00:00:00:00:00:00:00:00:00:07";
        let short = address("00:00:00:00:00:00:00:07");
        assert_eq!(short.over(Some(&port)), address(wanted));
        let long = address("80:00:99:99:fe:80:00:00:00:00:00:00:00:00:00:00:00:00:00:07");
        assert_eq!(long.over(Some(&port)), address(wanted));
        assert_eq!(port.over(Some(&port)), port);
        // Where there is no queue pair, an address is what it is.
        let ethernet = address("00:16:3e:01:02:03");
        assert_eq!(ethernet.over(Some(&address("00:16:3e:01:02:04"))), ethernet);
        assert_eq!(ethernet.over(None), ethernet);
        assert_eq!((ethernet.guid(), ethernet.mac().is_some()), (None, true));
        assert_eq!((port.is_ipoib(), port.mac()), (true, None));
    }

    #[test]
    fn refuses_other_texts() {
        for text in [
            "",
            "0",
            "00:",
            "0g",
            "000",
            "+1",
            &"00:".repeat(32),
            "00-11",
        ] {
            assert_eq!(
                text.parse::<LinkAddress>(),
                Err(InvalidAddress(text.to_owned()))
            );
        }
    }
}
