//! Ethernet addresses.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::str::FromStr;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// An Ethernet address, written `00:16:3e:aa:bb:cc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

/// The text is no Ethernet address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an Ethernet address of the form 00:16:3e:aa:bb:cc")]
pub struct InvalidMac(pub String);

impl Mac {
    /// An address under the prefix that LXC uses, `00:16:3e`; the rest comes from `seed`.
    pub fn from_seed(seed: u64) -> Self {
        let [a, b, c, ..] = mix(seed).to_be_bytes();
        Self([0x00, 0x16, 0x3e, a, b, c])
    }

    /// The address of a bridge that is given none: the same at each boot of this host and on no other, by its machine-id(5), as
    /// `MACAddressPolicy=persistent` of systemd.link(5) has it. Neighbours know their gateway by it.
    pub fn of_bridge(name: &str) -> Option<Self> {
        static MACHINE: LazyLock<Option<String>> =
            LazyLock::new(|| std::fs::read_to_string("/etc/machine-id").ok());
        let machine = MACHINE.as_deref().map(str::trim).unwrap_or_default();
        if machine.is_empty() {
            return None;
        }
        // That of new() has no random keys.
        let mut hasher = DefaultHasher::new();
        (machine, name).hash(&mut hasher);
        Some(Self::from_seed(hasher.finish()))
    }

    /// Group addresses can't be given to an interface.
    pub fn is_unicast(self) -> bool {
        self.0[0] & 1 == 0 && self.0 != [0; 6]
    }
}

/// A byte of an address: two hexadecimal digits.
pub(crate) fn octet(text: &str) -> Option<u8> {
    // from_str_radix takes a sign, which is no digit here.
    let fits = text.len() == 2 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    fits.then(|| u8::from_str_radix(text, 16).ok())?
}

/// An address as it is written everywhere.
pub(crate) fn write_octets(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    for (position, byte) in bytes.iter().enumerate() {
        let colon = if position == 0 { "" } else { ":" };
        write!(f, "{colon}{byte:02x}")?;
    }
    Ok(())
}

/// Spreads the bits of a seed over all 64 (the finalizer of splitmix64), so that seeds 1 and 2 look unrelated.
pub(crate) fn mix(seed: u64) -> u64 {
    let mut bits = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_octets(f, &self.0)
    }
}

impl FromStr for Mac {
    type Err = InvalidMac;

    fn from_str(text: &str) -> Result<Self, InvalidMac> {
        let invalid = || InvalidMac(text.to_owned());
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            *byte = parts.next().and_then(octet).ok_or_else(invalid)?;
        }
        parts
            .next()
            .is_none()
            .then_some(Self(bytes))
            .ok_or_else(invalid)
    }
}

impl TryFrom<String> for Mac {
    type Error = InvalidMac;

    fn try_from(text: String) -> Result<Self, InvalidMac> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_there_and_back(bytes: [u8; 6]) {
            prop_assert_eq!(Mac(bytes).to_string().parse(), Ok(Mac(bytes)));
        }

        #[test]
        fn seeds_give_unicast(seed: u64) {
            prop_assert!(Mac::from_seed(seed).is_unicast());
        }

        #[test]
        fn no_text_panics(text: String) {
            let _parsed: Result<Mac, _> = text.parse();
        }
    }

    #[test]
    fn refuses_other_texts() {
        for text in [
            "",
            "00:16:3e:aa:bb",
            "00:16:3e:aa:bb:cc:dd",
            "00:16:3e:aa:bb:+c",
            "0016:3e:aa:bb:cc",
        ] {
            assert_eq!(text.parse::<Mac>(), Err(InvalidMac(text.to_owned())));
        }
    }
}
