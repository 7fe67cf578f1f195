//! Requests beyond the draft that OpenSSH's clients make, see OpenSSH's PROTOCOL, section 4.

use std::path::Path;

use bytes::Bytes;
use rlxc_sys::file::FileError;
use russh_sftp::de::from_bytes;
use russh_sftp::extensions::{
    FSYNC, FsyncExtension, HARDLINK, HardlinkExtension, LIMITS, LimitsExtension, STATVFS, Statvfs,
    StatvfsExtension,
};
use russh_sftp::protocol::{ExtendedReply, Packet};
use rustix::fs::{AtFlags, OFlags, StatVfsMountFlags};

use super::requests::{MOST_HANDLES, Refusal, Session, done};
use super::{CHUNK, LONGEST};
use crate::error::Error;
use crate::files::tree::{Tree, refine};

/// Renames, replacing what is there.
const POSIX_RENAME: &str = "posix-rename@openssh.com";

/// What is announced, with the versions.
pub(super) const OFFERED: [(&str, &str); 5] = [
    (POSIX_RENAME, "1"),
    (STATVFS, "2"),
    (HARDLINK, "1"),
    (FSYNC, "1"),
    (LIMITS, "1"),
];

/// Answers one of them.
pub(super) fn answer(
    session: &Session,
    tree: &Tree,
    id: u32,
    (request, data): (&str, Vec<u8>),
) -> Result<Packet, Refusal> {
    let mut data = Bytes::from(data);
    match request {
        POSIX_RENAME => {
            let HardlinkExtension { oldpath, newpath } = read(&mut data)?;
            tree.rename(Path::new(&oldpath), Path::new(&newpath), true)?;
            Ok(done(id))
        }
        HARDLINK => {
            let HardlinkExtension { oldpath, newpath } = read(&mut data)?;
            link(tree, Path::new(&oldpath), Path::new(&newpath))?;
            Ok(done(id))
        }
        FSYNC => {
            let FsyncExtension { handle } = read(&mut data)?;
            let (file, path) = session.file(&handle)?;
            file.sync_all()
                .map_err(|error| Error::failed(format!("write `{path}`"), error))?;
            Ok(done(id))
        }
        STATVFS => {
            let StatvfsExtension { path } = read(&mut data)?;
            reply(id, &statvfs(tree, Path::new(&path))?)
        }
        LIMITS => reply(
            id,
            &LimitsExtension {
                max_packet_len: u64::from(LONGEST),
                max_read_len: u64::from(CHUNK),
                max_write_len: u64::from(CHUNK),
                max_open_handles: MOST_HANDLES as u64,
            },
        ),
        _ => Err(Refusal::unsupported()),
    }
}

fn read<T: serde::de::DeserializeOwned>(data: &mut Bytes) -> Result<T, Refusal> {
    from_bytes(data).map_err(|_bad| Refusal::unreadable())
}

fn reply<T: serde::Serialize>(id: u32, value: &T) -> Result<Packet, Refusal> {
    let data = russh_sftp::ser::to_bytes(value).map_err(Error::internal)?;
    Ok(Packet::ExtendedReply(ExtendedReply {
        id,
        data: data.to_vec(),
    }))
}

fn link(tree: &Tree, existing: &Path, path: &Path) -> Result<(), Error> {
    let (from, old) = tree.parent(existing)?;
    let (to, new) = tree.parent(path)?;
    rustix::fs::linkat(&from, &old, &to, &new, AtFlags::empty())
        .map_err(|errno| refine(FileError::new("link", path, errno)))
}

fn statvfs(tree: &Tree, path: &Path) -> Result<Statvfs, Error> {
    let fd = tree.look(path, OFlags::empty())?;
    let facts = rustix::fs::fstatvfs(&fd)
        .map_err(|errno| refine(FileError::new("look at", path, errno)))?;
    let flag = |flag, bit| if facts.f_flag.contains(flag) { bit } else { 0 };
    Ok(Statvfs {
        block_size: facts.f_bsize,
        fragment_size: facts.f_frsize,
        blocks: facts.f_blocks,
        blocks_free: facts.f_bfree,
        blocks_avail: facts.f_bavail,
        inodes: facts.f_files,
        inodes_free: facts.f_ffree,
        inodes_avail: facts.f_favail,
        fs_id: facts.f_fsid,
        flags: flag(StatVfsMountFlags::RDONLY, 1) | flag(StatVfsMountFlags::NOSUID, 2),
        name_max: facts.f_namemax,
    })
}
