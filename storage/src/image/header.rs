//! The bytes before an entry of a tar archive: a ustar header, and pax records for what does not fit in there.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// What is said about an entry.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) kind: tar::EntryType,
    pub(crate) path: PathBuf,
    pub(crate) link: Option<OsString>,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: i64,
    pub(crate) nanoseconds: u32,
    /// The size of a file with holes, whose data begins with a map.
    pub(crate) sparse: Option<u64>,
    pub(crate) size: u64,
    pub(crate) device: u64,
    pub(crate) xattrs: Vec<(OsString, Vec<u8>)>,
}

impl Default for Item {
    fn default() -> Self {
        Self {
            kind: tar::EntryType::Regular,
            path: PathBuf::new(),
            link: None,
            mode: 0,
            uid: 0,
            gid: 0,
            mtime: 0,
            nanoseconds: 0,
            sparse: None,
            size: 0,
            device: 0,
            xattrs: Vec::new(),
        }
    }
}

const NAME_LENGTH: usize = 100;
/// Seven octal digits.
const ID_MAX: u32 = 0o7_777_777;
/// Eleven octal digits.
const SIZE_MAX: u64 = 0o77_777_777_777;

/// Pax records for what the header has no room for; empty if it has.
pub(crate) fn pax_records(item: &Item) -> Vec<u8> {
    let mut records = Vec::new();
    let path = item.path.as_os_str().as_bytes();
    if path.len() > NAME_LENGTH {
        push(&mut records, b"path", path);
    }
    if let Some(link) = item.link.as_ref().filter(|link| link.len() > NAME_LENGTH) {
        push(&mut records, b"linkpath", link.as_bytes());
    }
    if item.size > SIZE_MAX {
        push(&mut records, b"size", item.size.to_string().as_bytes());
    }
    for (key, id) in [("uid", item.uid), ("gid", item.gid)] {
        if id > ID_MAX {
            push(&mut records, key.as_bytes(), id.to_string().as_bytes());
        }
    }
    if let Some(time) = exact_time(item) {
        push(&mut records, b"mtime", time.as_bytes());
    }
    if let Some(size) = item.sparse {
        push(&mut records, b"GNU.sparse.major", b"1");
        push(&mut records, b"GNU.sparse.minor", b"0");
        push(&mut records, b"GNU.sparse.name", path);
        push(
            &mut records,
            b"GNU.sparse.realsize",
            size.to_string().as_bytes(),
        );
    }
    for (name, value) in &item.xattrs {
        let key = [b"SCHILY.xattr.", name.as_bytes()].concat();
        push(&mut records, &key, value);
    }
    records
}

/// The time, where the header's field can't hold it.
fn exact_time(item: &Item) -> Option<String> {
    match (item.mtime, item.nanoseconds) {
        (seconds, 0) => (!fits_time(seconds)).then(|| seconds.to_string()),
        // The fraction of a negative number counts downwards.
        (seconds, nanoseconds) if seconds < 0 => {
            let (whole, rest) = (-(seconds + 1), 1_000_000_000 - nanoseconds);
            Some(format!("-{whole}.{rest:09}"))
        }
        (seconds, nanoseconds) => Some(format!("{seconds}.{nanoseconds:09}")),
    }
}

fn fits_time(seconds: i64) -> bool {
    u64::try_from(seconds).is_ok_and(|seconds| seconds <= SIZE_MAX)
}

/// The length of a record counts its own digits.
fn push(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

/// The ustar header. What does not fit is cut short or 0; the pax records before it say the whole.
pub(crate) fn plain_header(item: &Item) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    let cut = |bytes: &[u8], into: &mut [u8; NAME_LENGTH]| {
        let length = bytes.len().min(NAME_LENGTH);
        into[..length].copy_from_slice(&bytes[..length]);
    };
    cut(
        item.path.as_os_str().as_bytes(),
        &mut header.as_old_mut().name,
    );
    if let Some(link) = &item.link {
        cut(link.as_bytes(), &mut header.as_old_mut().linkname);
    }
    let id = |id: u32| if id > ID_MAX { 0 } else { id.into() };
    header.set_entry_type(item.kind);
    header.set_mode(item.mode);
    header.set_uid(id(item.uid));
    header.set_gid(id(item.gid));
    header.set_size(if item.size > SIZE_MAX { 0 } else { item.size });
    let mtime = if fits_time(item.mtime) {
        item.mtime.unsigned_abs()
    } else {
        0
    };
    header.set_mtime(mtime);
    if let Some(ustar) = header.as_ustar_mut() {
        ustar.set_device_major(rustix::fs::major(item.device));
        ustar.set_device_minor(rustix::fs::minor(item.device));
    }
    header.set_cksum();
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_its_own_length() {
        let mut records = Vec::new();
        push(&mut records, b"path", &[b'x'; 90]);
        assert!(records.starts_with(b"99 path="));
        assert_eq!(records.len(), 99);
        records.clear();
        push(&mut records, b"path", &[b'x'; 91]);
        assert!(records.starts_with(b"101 path="));
        assert_eq!(records.len(), 101);
    }
}
