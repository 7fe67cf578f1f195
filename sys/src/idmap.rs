//! ID maps of user namespaces: pure ranges, see user_namespaces(7).

use serde::{Deserialize, Serialize};

/// How many ids a container has: 0 to 65,535, `nobody` included.
pub const IDS_PER_CONTAINER: u32 = 65_536;

/// One line of `/proc/PID/uid_map`: `count` ids that begin at `container` inside and at `host` outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRange {
    /// First id in the container.
    pub container: u32,
    /// First id on the host.
    pub host: u32,
    /// How many ids.
    pub count: u32,
}

impl IdRange {
    fn to_host(self, id: u32) -> Option<u32> {
        let offset = id.checked_sub(self.container)?;
        (offset < self.count).then(|| self.host + offset)
    }

    fn to_container(self, id: u32) -> Option<u32> {
        let offset = id.checked_sub(self.host)?;
        (offset < self.count).then(|| self.container + offset)
    }
}

/// The user and group ids of one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdMap {
    /// User ids.
    pub uid: Vec<IdRange>,
    /// Group ids.
    pub gid: Vec<IdRange>,
}

impl IdMap {
    /// Ids 0 to `count` of the container are `base` and up on the host, users and groups alike.
    pub fn contiguous(base: u32, count: u32) -> Self {
        let range = vec![IdRange {
            container: 0,
            host: base,
            count,
        }];
        Self {
            uid: range.clone(),
            gid: range,
        }
    }

    /// The host's user id of a user in the container; `None` where it is not mapped.
    pub fn host_uid(&self, container: u32) -> Option<u32> {
        self.uid.iter().find_map(|range| range.to_host(container))
    }

    /// The host's group id of a group in the container; `None` where it is not mapped.
    pub fn host_gid(&self, container: u32) -> Option<u32> {
        self.gid.iter().find_map(|range| range.to_host(container))
    }

    /// The user id that a container sees for one of the host's; `None` where it sees `nobody`.
    pub fn container_uid(&self, host: u32) -> Option<u32> {
        self.uid.iter().find_map(|range| range.to_container(host))
    }

    /// The group id that a container sees for one of the host's; `None` where it sees `nogroup`.
    pub fn container_gid(&self, host: u32) -> Option<u32> {
        self.gid.iter().find_map(|range| range.to_container(host))
    }

    /// The text to write to `/proc/PID/uid_map` or `gid_map`.
    pub fn render(ranges: &[IdRange]) -> String {
        use std::fmt::Write as _;
        ranges.iter().fold(String::new(), |mut text, range| {
            // Writing to a String cannot fail.
            let _ok = writeln!(text, "{} {} {}", range.container, range.host, range.count);
            text
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn mapping_there_and_back_is_identity(base in 1u32..1_000_000_000, id in 0u32..IDS_PER_CONTAINER) {
            let map = IdMap::contiguous(base, IDS_PER_CONTAINER);
            prop_assert_eq!(map.host_uid(id).and_then(|host| map.container_uid(host)), Some(id));
            prop_assert_eq!(map.host_gid(id).and_then(|host| map.container_gid(host)), Some(id));
        }

        #[test]
        fn nothing_outside_the_range_is_mapped(base in 1u32..1_000_000_000, id in IDS_PER_CONTAINER..) {
            let map = IdMap::contiguous(base, IDS_PER_CONTAINER);
            prop_assert_eq!(map.host_uid(id), None);
            prop_assert_eq!(map.container_uid(base - 1), None);
        }
    }

    #[test]
    fn renders_lines_of_uid_map() {
        let map = IdMap::contiguous(100_000, 65_536);
        assert_eq!(IdMap::render(&map.uid), "0 100000 65536\n");
    }
}
