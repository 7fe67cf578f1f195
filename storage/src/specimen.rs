//! One of everything that the file system of a container holds, and a look at all of it: what every way to copy, send, pack
//! and unpack a tree has to keep. For tests.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rlxc_sys::file::Entry;
use rlxc_sys::path;
use rlxc_sys::rootfs::RootSource;

/// Access for user 1000 besides the owner, as acl(5) and linux/posix_acl_xattr.h have it: version, then tag, permissions and
/// id of each entry.
fn acl_for_one_more() -> Vec<u8> {
    let entries: [(u16, u16, u32); 5] = [
        (0x01, 7, u32::MAX),
        (0x02, 5, 1000),
        (0x04, 5, u32::MAX),
        (0x10, 5, u32::MAX),
        (0x20, 5, u32::MAX),
    ];
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

/// What a tree shows: all that is to be kept of each path.
fn listing(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(dir) = waiting.pop() {
        let fd = path::open_dir(&dir).unwrap();
        for entry in fs::read_dir(&dir).unwrap() {
            let entry = entry.unwrap();
            let path = entry.path();
            let stat = fs::symlink_metadata(&path).unwrap();
            let name = entry.file_name();
            let kept = Entry::new(&fd, &name);
            let mut xattrs: Vec<_> = kept.list_xattrs().unwrap();
            xattrs.sort();
            let values: Vec<_> = xattrs.iter().map(|key| kept.xattr(key).unwrap()).collect();
            let text = if stat.is_symlink() {
                fs::read_link(&path)
                    .unwrap()
                    .display()
                    .to_string()
                    .into_bytes()
            } else if stat.is_file() {
                fs::read(&path).unwrap()
            } else {
                Vec::new()
            };
            let mut digest = crate::image::Fingerprinter::new(std::io::sink());
            std::io::Write::write_all(&mut digest, &text).unwrap();
            let links = if stat.is_dir() { 0 } else { stat.nlink() };
            let shown = format!(
                "{:o} {}:{} {} {} {}.{} {xattrs:?} {values:?} {:?}",
                stat.mode(),
                stat.uid(),
                stat.gid(),
                stat.rdev(),
                links,
                stat.mtime(),
                stat.mtime_nsec(),
                digest.finish().0,
            );
            found.insert(
                path.strip_prefix(root).unwrap().display().to_string(),
                shown,
            );
            if stat.is_dir() {
                waiting.push(path);
            }
        }
    }
    found
}

pub(crate) fn show(root: &RootSource) -> BTreeMap<String, String> {
    use std::os::fd::AsRawFd;
    let fd = crate::root::open(root).unwrap();
    listing(Path::new(&format!("/proc/self/fd/{}/", fd.as_raw_fd())))
}

/// One of everything.
pub(crate) fn furnish(dir: &Path) {
    fs::create_dir_all(dir.join("etc")).unwrap();
    fs::create_dir_all(dir.join("dev")).unwrap();
    fs::write(dir.join("etc/hostname"), "c1").unwrap();
    fs::hard_link(dir.join("etc/hostname"), dir.join("etc/second")).unwrap();
    fs::write(dir.join("su"), vec![7; 100_000]).unwrap();
    std::os::unix::fs::chown(dir.join("su"), Some(3_000_000), Some(7)).unwrap();
    fs::set_permissions(dir.join("su"), fs::Permissions::from_mode(0o4755)).unwrap();
    std::os::unix::fs::symlink("x".repeat(150), dir.join("long-link")).unwrap();
    fs::create_dir(dir.join("d".repeat(120))).unwrap();
    let fd = path::open_dir(dir).unwrap();
    let file = Entry::new(&fd, "su".as_ref());
    file.set_xattr("user.x".as_ref(), b"a=b\n\0c").unwrap();
    // cap_net_raw+ep, version 2; see linux/capability.h.
    let capability = [
        1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    file.set_xattr("security.capability".as_ref(), &capability)
        .unwrap();
    let acl = Entry::new(&fd, "etc".as_ref());
    for name in ["system.posix_acl_access", "system.posix_acl_default"] {
        acl.set_xattr(name.as_ref(), &acl_for_one_more()).unwrap();
    }
    let holes = fs::File::create(dir.join("holes")).unwrap();
    holes.set_len(64 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&holes, b"middle", 1 << 20).unwrap();
    fs::File::create(dir.join("hole"))
        .unwrap()
        .set_len(1 << 20)
        .unwrap();
    rustix::fs::mknodat(
        fd.as_fd(),
        "dev/null",
        rustix::fs::FileType::CharacterDevice,
        rustix::fs::Mode::from_raw_mode(0o666),
        rustix::fs::makedev(1, 3),
    )
    .unwrap();
    rustix::fs::mknodat(
        fd.as_fd(),
        "fifo",
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
}

/// A socket besides, for what keeps it: archives do not.
pub(crate) fn add_socket(dir: &Path) {
    let fd = path::open_dir(dir).unwrap();
    let (kind, mode) = (
        rustix::fs::FileType::Socket,
        rustix::fs::Mode::from_raw_mode(0o777),
    );
    rustix::fs::mknodat(fd.as_fd(), "socket", kind, mode, 0).unwrap();
}
