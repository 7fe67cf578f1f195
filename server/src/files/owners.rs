//! Owners of files: the numbers that the guest sees against those that the host sees. Pure, but for reading the map.

use rlxc_sys::idmap::{IdMap, IdRange};

use crate::error::{Error, Result};

/// What a user without a number in a namespace is shown as; see user_namespaces(7).
const NOBODY: u32 = 65_534;

/// How owners are translated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Owners {
    /// On disk they are what the guest sees.
    AsTheyAre,
    /// By the maps of a running instance.
    Shifted(IdMap),
}

impl Owners {
    /// From `/proc/PID/uid_map` and `gid_map`, which is what counts, whatever the inventory says.
    pub(super) fn parse(uid_map: &str, gid_map: &str) -> Option<Self> {
        let (uid, gid) = (parse_ranges(uid_map)?, parse_ranges(gid_map)?);
        Some(Self::Shifted(IdMap { uid, gid }))
    }

    /// The owner and group in the guest.
    pub(super) fn in_guest(&self, uid: u32, gid: u32) -> (u32, u32) {
        match self {
            Self::AsTheyAre => (uid, gid),
            Self::Shifted(map) => (
                map.container_uid(uid).unwrap_or(NOBODY),
                map.container_gid(gid).unwrap_or(NOBODY),
            ),
        }
    }

    /// The owner on the host; a user that the guest can't have is an error.
    pub(super) fn uid_on_host(&self, uid: u32) -> Result<u32> {
        let host = match self {
            Self::AsTheyAre => Some(uid),
            Self::Shifted(map) => map.host_uid(uid),
        };
        host.ok_or_else(|| Error::Invalid(format!("the instance has no user {uid}")))
    }

    /// The group on the host; a group that the guest can't have is an error.
    pub(super) fn gid_on_host(&self, gid: u32) -> Result<u32> {
        let host = match self {
            Self::AsTheyAre => Some(gid),
            Self::Shifted(map) => map.host_gid(gid),
        };
        host.ok_or_else(|| Error::Invalid(format!("the instance has no group {gid}")))
    }
}

fn parse_ranges(text: &str) -> Option<Vec<IdRange>> {
    let range = |line: &str| {
        let mut numbers = line.split_whitespace().map(|number| number.parse().ok());
        Some(IdRange {
            container: numbers.next()??,
            host: numbers.next()??,
            count: numbers.next()??,
        })
    };
    text.lines().map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifts_there_and_back() {
        let map = "         0    1000000      65536\n";
        let owners = Owners::parse(map, map).unwrap();
        assert_eq!(owners.in_guest(1_000_000, 1_000_033), (0, 33));
        assert_eq!(owners.uid_on_host(33).unwrap(), 1_000_033);
    }

    #[test]
    fn owners_of_the_host_are_nobody_and_can_not_be_given() {
        let map = "0 1000000 65536\n";
        let owners = Owners::parse(map, map).unwrap();
        assert_eq!(owners.in_guest(0, 0), (NOBODY, NOBODY));
        assert!(owners.uid_on_host(65_536).is_err());
        assert!(owners.gid_on_host(u32::MAX).is_err());
    }

    #[test]
    fn a_privileged_instance_has_the_hosts_owners() {
        let map = "0 0 4294967295\n";
        let owners = Owners::parse(map, map).unwrap();
        assert_eq!(owners.in_guest(0, 1000), (0, 1000));
        assert_eq!(owners.uid_on_host(1000).unwrap(), 1000);
    }

    #[test]
    fn a_map_that_is_none_is_refused() {
        assert_eq!(Owners::parse("0 1000000\n", "0 1000000 1\n"), None);
    }
}
