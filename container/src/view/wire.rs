//! As much of the FUSE protocol as a file system of a few read-only files needs: linux/fuse.h, fuse(4).

use std::io;
use std::os::fd::BorrowedFd;

use rustix::io::Errno;

/// The version that is spoken; kernels speak this and later ones.
const VERSION: (u32, u32) = (7, 31);
/// The least that the kernel takes (`FUSE_MIN_READ_BUFFER`).
const BUFFER: usize = 8192;
const HEADER: usize = 40;
/// Names never change: the kernel need not ask again. Sizes do, it asks at each open.
const FOR_EVER: u64 = 1 << 30;
/// `FOPEN_DIRECT_IO`: every read comes here.
const DIRECT_IO: u32 = 1;

/// What the kernel asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    Init,
    Lookup(String),
    Attributes,
    Open,
    Read {
        handle: u64,
        offset: u64,
        size: u32,
    },
    Release {
        handle: u64,
    },
    Statistics,
    /// Wants no answer.
    Forget,
    /// Not needed here; the kernel does without.
    Other,
}

/// A request, what it is about, and what its answer is found by.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) unique: u64,
    pub(super) node: u64,
    pub(super) request: Request,
}

/// What a file is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attributes {
    pub(super) node: u64,
    pub(super) size: u64,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// Takes the next request; `None` if there is none now.
pub(super) fn receive(fuse: BorrowedFd<'_>) -> io::Result<Option<Message>> {
    let mut buffer = [0; BUFFER];
    loop {
        match rustix::io::read(fuse, &mut buffer) {
            Ok(length) => return Ok(buffer.get(..length).and_then(parse)),
            Err(Errno::AGAIN) => return Ok(None),
            // One that was interrupted before it could be read.
            Err(Errno::INTR | Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn parse(bytes: &[u8]) -> Option<Message> {
    let body = bytes.get(HEADER..)?;
    let request = match u32_at(bytes, 4)? {
        1 => Request::Lookup(name(body)?),
        2 | 36 | 42 => Request::Forget,
        3 => Request::Attributes,
        14 => Request::Open,
        15 => Request::Read {
            handle: u64_at(body, 0)?,
            offset: u64_at(body, 8)?,
            size: u32_at(body, 16)?,
        },
        17 => Request::Statistics,
        18 => Request::Release {
            handle: u64_at(body, 0)?,
        },
        26 => Request::Init,
        _ => Request::Other,
    };
    Some(Message {
        unique: u64_at(bytes, 8)?,
        node: u64_at(bytes, 16)?,
        request,
    })
}

fn name(body: &[u8]) -> Option<String> {
    let name = body.split(|byte| *byte == 0).next()?;
    String::from_utf8(name.to_vec()).ok()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_ne_bytes(bytes))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at + 8)?.try_into().ok()?;
    Some(u64::from_ne_bytes(bytes))
}

/// Answers with a body, or with an error.
pub(super) fn reply(fuse: BorrowedFd<'_>, unique: u64, answer: Result<&[u8], Errno>) {
    let (error, body) = match answer {
        Ok(body) => (0, body),
        Err(errno) => (-errno.raw_os_error(), &[][..]),
    };
    let length = u32::try_from(16 + body.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(16 + body.len());
    bytes.extend(length.to_ne_bytes());
    bytes.extend(error.to_ne_bytes());
    bytes.extend(unique.to_ne_bytes());
    bytes.extend(body);
    // Who asked may have been killed meanwhile.
    rustix::io::write(fuse, &bytes).ok();
}

/// `struct fuse_init_out`.
pub(super) fn init() -> Vec<u8> {
    let mut out = words(&[VERSION.0, VERSION.1, 0, 0]);
    // Two numbers of requests in the background, which there are none of; then the most that is written at once.
    out.extend(words(&[0, 4096, 1]));
    out.resize(64, 0);
    out
}

/// `struct fuse_entry_out`.
pub(super) fn entry(attributes: Attributes) -> Vec<u8> {
    let mut out = longs(&[attributes.node, 0, FOR_EVER, 0]);
    out.extend(words(&[0, 0]));
    out.extend(render(attributes));
    out
}

/// `struct fuse_attr_out`.
pub(super) fn attributes(attributes: Attributes) -> Vec<u8> {
    let mut out = longs(&[0]);
    out.extend(words(&[0, 0]));
    out.extend(render(attributes));
    out
}

/// `struct fuse_attr`.
fn render(attributes: Attributes) -> Vec<u8> {
    // Inode, size, blocks, three times.
    let mut out = longs(&[attributes.node, attributes.size, 0, 0, 0, 0]);
    // Three fractions of seconds, mode, links, owner, group, device, size of a block, flags.
    let Attributes { mode, uid, gid, .. } = attributes;
    out.extend(words(&[0, 0, 0, mode, 1, uid, gid, 0, 4096, 0]));
    out
}

/// `struct fuse_open_out`.
pub(super) fn open(handle: u64) -> Vec<u8> {
    let mut out = longs(&[handle]);
    out.extend(words(&[DIRECT_IO, 0]));
    out
}

/// `struct fuse_statfs_out`, all of it nothing.
pub(super) fn statistics() -> Vec<u8> {
    vec![0; 80]
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn longs(longs: &[u64]) -> Vec<u8> {
    longs.iter().flat_map(|long| long.to_ne_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(opcode: u32, body: &[u8]) -> Vec<u8> {
        let mut bytes = words(&[0, opcode]);
        bytes.extend(longs(&[7, 1]));
        bytes.resize(HEADER, 0);
        bytes.extend(body);
        bytes
    }

    #[test]
    fn requests_are_read() {
        let read = parse(&message(15, &[longs(&[3, 4096]), words(&[512])].concat())).unwrap();
        assert_eq!((read.unique, read.node), (7, 1));
        let expected = Request::Read {
            handle: 3,
            offset: 4096,
            size: 512,
        };
        assert_eq!(read.request, expected);
        let lookup = parse(&message(1, b"meminfo\0")).unwrap();
        assert_eq!(lookup.request, Request::Lookup("meminfo".into()));
        assert!(parse(&message(15, b"short")).is_none());
        assert!(parse(b"short").is_none());
    }

    #[test]
    fn answers_are_as_long_as_the_kernel_wants_them() {
        let file = Attributes {
            node: 2,
            size: 0,
            mode: 0o100_444,
            uid: 0,
            gid: 0,
        };
        let lengths = [init(), entry(file), attributes(file), open(1), statistics()];
        assert_eq!(lengths.map(|bytes| bytes.len()), [64, 128, 104, 16, 80]);
    }
}
