//! Owners of files as an instance sees them, made of those on the disk of a host that shifts them: one without idmapped
//! mounts writes its own ids into the files, and a backup of LXD that was made there has them too.

use rlxc_sys::idmap::IdMap;

use crate::image::archive::Attributes;

/// Who an instance sees where an id of the host is none of its own: `overflowuid` and `overflowgid` of proc(5).
const NOBODY: u32 = 65_534;
/// Tags of include/uapi/linux/posix_acl.h.
const ACL_USER: [u8; 2] = 0x02_u16.to_le_bytes();
const ACL_GROUP: [u8; 2] = 0x08_u16.to_le_bytes();
/// The size of `struct vfs_ns_cap_data` in include/uapi/linux/capability.h, whose last word is the user that is root.
const CAPABILITY_OF_ROOT: usize = 24;

/// Makes owner, ACLs and capabilities what the instance sees that `map` belongs to.
pub(super) fn as_seen(attributes: &mut Attributes, map: &IdMap) {
    attributes.uid = map.container_uid(attributes.uid).unwrap_or(NOBODY);
    attributes.gid = map.container_gid(attributes.gid).unwrap_or(NOBODY);
    // LXD translates these as it packs them, if it can: what is no id of the host is the instance's already.
    let user = |id: u32| map.container_uid(id).unwrap_or(id);
    let group = |id: u32| map.container_gid(id).unwrap_or(id);
    for (name, value) in &mut attributes.xattrs {
        match name.as_encoded_bytes() {
            b"system.posix_acl_access" | b"system.posix_acl_default" => {
                // include/uapi/linux/posix_acl_xattr.h: a version, then tag, permissions and id of each entry.
                let entries = value.get_mut(4..).unwrap_or_default();
                for entry in entries.chunks_exact_mut(8) {
                    if entry.starts_with(&ACL_USER) {
                        replace_last(entry, user);
                    } else if entry.starts_with(&ACL_GROUP) {
                        replace_last(entry, group);
                    }
                }
            }
            b"security.capability" if value.len() == CAPABILITY_OF_ROOT => {
                replace_last(value, user);
            }
            _ => {}
        }
    }
}

/// Replaces the id at the end.
fn replace_last(bytes: &mut [u8], by: impl Fn(u32) -> u32) {
    if let Some(last) = bytes.last_chunk_mut::<4>() {
        *last = by(u32::from_le_bytes(*last)).to_le_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(entries: &[(u16, u32)]) -> Vec<u8> {
        let mut bytes = 2_u32.to_le_bytes().to_vec();
        for (tag, id) in entries {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(6_u16.to_le_bytes());
            bytes.extend(id.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn ids_of_the_host_become_those_of_the_instance() {
        let map = IdMap::contiguous(100_000, 65_536);
        let capability = |root: u32| [&[3; 20][..], &root.to_le_bytes()].concat();
        let with = |uid, gid, acl: Vec<u8>, capability: Vec<u8>| Attributes {
            uid,
            gid,
            xattrs: vec![
                ("system.posix_acl_default".into(), acl),
                ("security.capability".into(), capability),
                ("user.id".into(), 100_000_u32.to_le_bytes().to_vec()),
            ],
            ..Attributes::default()
        };
        let mine = u32::MAX;
        let before = acl(&[(1, mine), (2, 101_000), (8, 100_033), (2, 7), (16, mine)]);
        let after = acl(&[(1, mine), (2, 1000), (8, 33), (2, 7), (16, mine)]);
        let mut attributes = with(100_000, 0, before, capability(100_000));
        as_seen(&mut attributes, &map);
        assert_eq!(attributes, with(0, NOBODY, after, capability(0)));
        let mut short = with(100_001, 100_002, vec![2, 0], vec![1; 20]);
        as_seen(&mut short, &map);
        assert_eq!(short, with(1, 2, vec![2, 0], vec![1; 20]));
    }
}
