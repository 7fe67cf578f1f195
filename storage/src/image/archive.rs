//! Reads tar archives: ustar, GNU and pax, see tar(5) of libarchive and pax(1p).
//!
//! Strict where `tar` is lenient: an archive that stops without its end mark is damaged, an extension of more
//! than [`EXTENSION_LIMIT`] bytes is an attack. Knows nothing of where entries are put.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use tar::{EntryType, Header};

use super::ImageError;
use super::compression::read_error;
pub(crate) use super::entry::{Attributes, Device, Entry, Kind};
use super::sparse::{self, SparseMap};

/// Pax records and long names are held in memory.
pub(crate) const EXTENSION_LIMIT: u64 = 1 << 20;
const BLOCK: u64 = 512;

/// What pax records and GNU extensions say about the entry that follows.
#[derive(Debug, Clone, Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<(i64, u32)>,
    xattrs: Vec<(OsString, Vec<u8>)>,
    sparse: sparse::Records,
}

/// An archive being read.
#[derive(Debug)]
pub(crate) struct Archive<R> {
    reader: R,
    file: PathBuf,
    /// Data of the current entry that was not read yet, and the padding after it.
    data: u64,
    padding: u64,
    read: u64,
    limit: u64,
    global: Extensions,
}

impl<R: Read> Archive<R> {
    /// `file` is for errors; the archive may have at most `limit` bytes.
    pub(crate) fn new(reader: R, file: &Path, limit: u64) -> Self {
        Self {
            reader,
            file: file.to_owned(),
            data: 0,
            padding: 0,
            read: 0,
            limit,
            global: Extensions::default(),
        }
    }

    pub(crate) fn reader(&self) -> &R {
        &self.reader
    }

    pub(crate) fn malformed(&self, problem: impl Into<String>) -> ImageError {
        ImageError::Malformed {
            path: self.file.clone(),
            problem: problem.into(),
        }
    }

    fn take(&mut self, buffer: &mut [u8]) -> Result<usize, ImageError> {
        if self.read > self.limit {
            return Err(ImageError::TooBig {
                limit: self.limit,
                unit: "bytes",
            });
        }
        loop {
            match self.reader.read(buffer) {
                Ok(count) => {
                    self.read += count as u64;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(read_error(&self.file, error)),
            }
        }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), ImageError> {
        let mut done = 0;
        while done < buffer.len() {
            match self.take(&mut buffer[done..])? {
                0 => return Err(self.malformed("it is truncated")),
                count => done += count,
            }
        }
        Ok(())
    }

    /// Data of the current entry; 0 at its end.
    pub(crate) fn read_data(&mut self, buffer: &mut [u8]) -> Result<usize, ImageError> {
        let wanted = usize::try_from(self.data)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.take(&mut buffer[..wanted])?;
        if count == 0 {
            return Err(self.malformed("it is truncated"));
        }
        self.data -= count as u64;
        Ok(count)
    }

    /// All data of the current entry, which must not be more than [`EXTENSION_LIMIT`].
    pub(crate) fn read_all(&mut self) -> Result<Vec<u8>, ImageError> {
        if self.data > EXTENSION_LIMIT {
            return Err(self.malformed(format!("a header or description of {} bytes", self.data)));
        }
        let mut bytes = vec![0; usize::try_from(self.data).unwrap_or(0)];
        self.fill(&mut bytes)?;
        self.data = 0;
        Ok(bytes)
    }

    fn skip_rest(&mut self) -> Result<(), ImageError> {
        let mut left = self.data + self.padding;
        let mut buffer = [0; 8192];
        while left > 0 {
            let wanted = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            self.fill(&mut buffer[..wanted])?;
            left -= wanted as u64;
        }
        (self.data, self.padding) = (0, 0);
        Ok(())
    }

    /// The next entry, `None` at the end mark. What was not read of the last one is skipped.
    pub(crate) fn next_entry(&mut self) -> Result<Option<Entry>, ImageError> {
        let mut extensions = self.global.clone();
        loop {
            let Some(header) = self.next_header()? else {
                self.drain()?;
                return Ok(None);
            };
            let kind = header.entry_type();
            if kind.is_pax_local_extensions() {
                let records = self.read_all()?;
                self.parse_pax(&records, &mut extensions)?;
            } else if kind.is_pax_global_extensions() {
                let records = self.read_all()?;
                let mut global = std::mem::take(&mut self.global);
                self.parse_pax(&records, &mut global)?;
                extensions = global.clone();
                self.global = global;
            } else if kind.is_gnu_longname() {
                extensions.path = Some(until_nul(self.read_all()?));
            } else if kind.is_gnu_longlink() {
                extensions.link = Some(until_nul(self.read_all()?));
            } else {
                return self.entry(&header, extensions).map(Some);
            }
        }
    }

    fn next_header(&mut self) -> Result<Option<Header>, ImageError> {
        self.skip_rest()?;
        let mut header = Header::new_old();
        self.fill(header.as_mut_bytes())?;
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let mut summed = header.clone();
        summed.set_cksum();
        let (told, computed) = (header.cksum(), summed.cksum());
        if told.ok() != computed.ok() {
            return Err(self.malformed("a header with a wrong checksum"));
        }
        let size = header.entry_size();
        let size = size.map_err(|error| self.malformed(error.to_string()))?;
        self.set_size(size)?;
        Ok(Some(header))
    }

    fn set_size(&mut self, size: u64) -> Result<(), ImageError> {
        if size > i64::MAX as u64 {
            return Err(self.malformed("an entry of an impossible size"));
        }
        self.data = size;
        self.padding = (BLOCK - size % BLOCK) % BLOCK;
        Ok(())
    }

    /// Reads to the end of the stream: only there its checksum is verified.
    fn drain(&mut self) -> Result<(), ImageError> {
        let mut buffer = [0; 8192];
        while self.take(&mut buffer)? > 0 {}
        Ok(())
    }

    /// An owner: what an extension tells, or the header's field. Some writers leave that empty where they mean root.
    fn owner(
        &self,
        told: Option<u64>,
        bytes: &[u8],
        parsed: io::Result<u64>,
    ) -> Result<u32, ImageError> {
        let empty = bytes.iter().all(|byte| matches!(byte, 0 | b' '));
        let field = if empty { Some(0) } else { parsed.ok() };
        let id = told.or(field).and_then(|id| u32::try_from(id).ok());
        id.filter(|id| *id != u32::MAX)
            .ok_or_else(|| self.malformed("an owner that makes no sense"))
    }

    fn entry(&mut self, header: &Header, extensions: Extensions) -> Result<Entry, ImageError> {
        if let Some(size) = extensions.size {
            self.set_size(size)?;
        }
        let mut path = extensions.path;
        let kind = header.entry_type();
        let link = extensions
            .link
            .or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned));
        let has_data = kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse();
        if !has_data {
            // Some writers give links the size of their target; there is no data all the same.
            self.set_size(0)?;
        }
        let mut named = path
            .take()
            .unwrap_or_else(|| header.path_bytes().into_owned());
        let kind = match kind {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let map = self.sparse_map(header, extensions.sparse, &mut named)?;
                if named.ends_with(b"/") && map.is_none() {
                    // Archives from before 1988 mark directories so.
                    self.set_size(0)?;
                    Kind::Directory
                } else {
                    Kind::File(map)
                }
            }
            EntryType::Directory => Kind::Directory,
            EntryType::Symlink => Kind::Symlink(link.unwrap_or_default()),
            EntryType::Link => Kind::HardLink(link.unwrap_or_default()),
            EntryType::Fifo => Kind::Fifo,
            EntryType::Char | EntryType::Block => Kind::Device(Device {
                block: kind == EntryType::Block,
                major: header.device_major().ok().flatten().unwrap_or(0),
                minor: header.device_minor().ok().flatten().unwrap_or(0),
            }),
            other => {
                let problem = format!("an entry of the unknown type {:#04x}", other.as_byte());
                return Err(self.malformed(problem));
            }
        };
        let mode = header.mode();
        let attributes = Attributes {
            uid: self.owner(extensions.uid, &header.as_old().uid, header.uid())?,
            gid: self.owner(extensions.gid, &header.as_old().gid, header.gid())?,
            mode: mode.map_err(|error| self.malformed(error.to_string()))? & 0o7777,
            // Base-256 numbers may be negative: two's complement, which the crate hands over as unsigned.
            mtime: extensions
                .mtime
                .unwrap_or_else(|| (header.mtime().unwrap_or(0).cast_signed(), 0)),
            xattrs: extensions.xattrs,
        };
        Ok(Entry {
            path: named,
            kind,
            attributes,
        })
    }

    fn sparse_map(
        &mut self,
        header: &Header,
        records: sparse::Records,
        name: &mut Vec<u8>,
    ) -> Result<Option<SparseMap>, ImageError> {
        if let Some(real) = &records.name {
            name.clone_from(real);
        }
        if records.major == Some(1) {
            return self.sparse_map_in_data(&records).map(Some);
        }
        if records.is_unsupported() {
            return Err(self.malformed("a sparse file of pax format 0.0"));
        }
        let size = self.data;
        let map = if header.entry_type() == EntryType::GNUSparse {
            Some(self.gnu_sparse_map(header)?)
        } else {
            records.map()
        };
        map.map(|map| map.checked(size))
            .transpose()
            .map_err(|problem| self.malformed(problem))
    }

    /// Pax format 1.0: the data begins with the map, as decimal lines, padded to a block.
    fn sparse_map_in_data(&mut self, records: &sparse::Records) -> Result<SparseMap, ImageError> {
        let mut text = Vec::new();
        let mut block = [0; 512];
        loop {
            if self.data < BLOCK || text.len() as u64 > 16 * EXTENSION_LIMIT {
                return Err(self.malformed("a sparse file without its map"));
            }
            self.fill(&mut block)?;
            self.data -= BLOCK;
            text.extend_from_slice(&block);
            if let Some(map) = sparse::parse_lines(&text, records.size) {
                let size = self.data;
                return map
                    .and_then(|map| map.checked(size))
                    .map_err(|problem| self.malformed(problem));
            }
        }
    }

    /// The old GNU format: four pieces in the header, more in blocks after it.
    fn gnu_sparse_map(&mut self, header: &Header) -> Result<SparseMap, ImageError> {
        let Some(gnu) = header.as_gnu() else {
            return Err(self.malformed("a sparse file without a GNU header"));
        };
        let size = gnu.real_size();
        let mut map = SparseMap::new(size.map_err(|error| self.malformed(error.to_string()))?);
        let mut pieces: Vec<_> = gnu.sparse.iter().map(piece).collect();
        let mut more = gnu.is_extended();
        loop {
            for found in pieces.drain(..) {
                match found {
                    Some(Ok((offset, length))) => map.push(offset, length),
                    None => {}
                    Some(Err(error)) => return Err(self.malformed(error.to_string())),
                }
            }
            if !more {
                return Ok(map);
            }
            if map.len() > sparse::PIECES_LIMIT {
                return Err(self.malformed("a sparse file of too many pieces"));
            }
            let mut extension = tar::GnuExtSparseHeader::new();
            self.fill(extension.as_mut_bytes())?;
            pieces = extension.sparse().iter().map(piece).collect();
            more = extension.is_extended();
        }
    }

    fn parse_pax(&self, records: &[u8], into: &mut Extensions) -> Result<(), ImageError> {
        let mut rest = records;
        while !rest.is_empty() {
            let (key, value, after) =
                split_record(rest).ok_or_else(|| self.malformed("a pax record that ends amiss"))?;
            rest = after;
            let number = || {
                let text = std::str::from_utf8(value).ok();
                let number = text.and_then(|text| text.parse::<u64>().ok());
                number.ok_or_else(|| self.malformed("a pax record with a wrong number"))
            };
            match key {
                b"path" => into.path = Some(value.to_owned()),
                b"linkpath" => into.link = Some(value.to_owned()),
                b"size" => into.size = Some(number()?),
                b"uid" => into.uid = Some(number()?),
                b"gid" => into.gid = Some(number()?),
                b"mtime" => into.mtime = parse_time(value),
                _ => {
                    if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                        let name = OsString::from_vec(name.to_owned());
                        into.xattrs.push((name, value.to_owned()));
                    } else if let Some(name) = acl_in_binary(key, value) {
                        into.xattrs.push((name.into(), value.to_owned()));
                    } else if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                        into.sparse
                            .set(key, value)
                            .map_err(|problem| self.malformed(problem))?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// The attribute that LXD means by a record in which others, star(1) first of all, have an ACL as text.
fn acl_in_binary(key: &[u8], value: &[u8]) -> Option<&'static str> {
    // POSIX_ACL_XATTR_VERSION of include/uapi/linux/posix_acl_xattr.h.
    let is_binary = value.starts_with(&2_u32.to_le_bytes());
    match key {
        b"SCHILY.acl.access" if is_binary => Some("system.posix_acl_access"),
        b"SCHILY.acl.default" if is_binary => Some("system.posix_acl_default"),
        _ => None,
    }
}

fn piece(header: &tar::GnuSparseHeader) -> Option<io::Result<(u64, u64)>> {
    if header.is_empty() {
        return None;
    }
    Some(
        header
            .offset()
            .and_then(|offset| Ok((offset, header.length()?))),
    )
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.iter().position(|byte| *byte == 0);
    bytes.truncate(end.unwrap_or(bytes.len()));
    bytes
}

/// `"<length> <key>=<value>\n"`: the key, the value, and what follows.
fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
    let record = bytes.get(space + 1..length)?;
    let record = record.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    Some((&record[..equals], &record[equals + 1..], &bytes[length..]))
}

/// Seconds with a decimal fraction; `None` if that is not what it is.
fn parse_time(value: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(value).ok()?;
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = seconds.parse().ok()?;
    let digits: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    let nanoseconds: u32 = digits.parse().ok()?;
    if text.starts_with('-') && nanoseconds > 0 {
        return Some((seconds - 1, 1_000_000_000 - nanoseconds));
    }
    Some((seconds, nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_times_with_fractions() {
        assert_eq!(parse_time(b"17.25"), Some((17, 250_000_000)));
        assert_eq!(parse_time(b"-1.5"), Some((-2, 500_000_000)));
        assert_eq!(parse_time(b"x"), None);
    }

    #[test]
    fn an_acl_of_lxd_is_told_from_text() {
        let binary = b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff";
        let name = acl_in_binary(b"SCHILY.acl.access", binary);
        assert_eq!(name, Some("system.posix_acl_access"));
        assert_eq!(acl_in_binary(b"SCHILY.acl.access", b"user::rwx"), None);
        assert_eq!(acl_in_binary(b"SCHILY.dev", binary), None);
    }

    #[test]
    fn splits_records_by_their_length() {
        let (key, value, rest) = split_record(b"11 a=b=c\nd\n\n").unwrap();
        assert_eq!((key, value, rest), (&b"a"[..], &b"b=c\nd"[..], &b"\n"[..]));
        assert!(split_record(b"99 a=b\n").is_none());
        assert!(split_record(b"3 a=b\n").is_none());
    }
}
