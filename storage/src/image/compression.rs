//! Compressed streams: told by their first bytes, decompressed in a thread of their own while another writes.

use std::io::{self, BufReader, Read};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rlxc_sys::file;
use rlxc_sys::interrupt;
use rlxc_sys::tool::Tool;

use super::ImageError;

/// How the bytes of an image file are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878; the default for new images.
    Zstd,
    /// <https://tukaani.org/xz/xz-file-format.txt>
    Xz,
    /// By the program `bzip2`, only read.
    Bzip2,
}

/// What an image file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// A tarball.
    Tar(Compression),
    /// A file system image, version 4; see Documentation/filesystems/squashfs.rst.
    Squashfs,
}

/// Memory that decompressing may take: a header can ask for gigabytes.
const XZ_MEMORY: u64 = 512 << 20;
const CHUNK: usize = 1 << 18;
const CHUNKS_AHEAD: usize = 16;

/// Bytes that tell what a file is.
const START: u64 = 262;

impl Format {
    pub(crate) fn identify(path: &Path) -> Result<Self, ImageError> {
        Self::of(&first_bytes(&mut file::open(path)?, path)?, path)
    }

    fn of(start: &[u8], path: &Path) -> Result<Self, ImageError> {
        let begins = |magic: &[u8]| start.starts_with(magic);
        let known = match () {
            () if begins(b"\xfd7zXZ\0") => Self::Tar(Compression::Xz),
            () if begins(b"\x1f\x8b") => Self::Tar(Compression::Gzip),
            () if begins(b"\x28\xb5\x2f\xfd") => Self::Tar(Compression::Zstd),
            () if begins(b"BZh") => Self::Tar(Compression::Bzip2),
            () if begins(b"hsqs") => Self::Squashfs,
            () if start.get(257..262) == Some(b"ustar") => Self::Tar(Compression::None),
            () => {
                return Err(ImageError::Malformed {
                    path: path.to_owned(),
                    problem:
                        "it is neither a tarball (plain, gzip, xz, zstd, bzip2) nor a squashfs"
                            .into(),
                });
            }
        };
        Ok(known)
    }
}

fn first_bytes(reader: &mut impl Read, path: &Path) -> Result<Vec<u8>, ImageError> {
    let mut start = Vec::new();
    reader
        .take(START)
        .read_to_end(&mut start)
        .map_err(|source| read_error(path, source))?;
    Ok(start)
}

pub(crate) fn read_error(path: &Path, source: io::Error) -> ImageError {
    ImageError::Read {
        path: path.to_owned(),
        source,
    }
}

/// Counts what was taken from the file, for progress.
struct Counted<R> {
    inner: R,
    count: std::sync::Arc<std::sync::atomic::AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let relaxed = std::sync::atomic::Ordering::Relaxed;
        self.count.fetch_add(count as u64, relaxed);
        Ok(count)
    }
}

/// The plain bytes of a compressed file, made by a thread.
#[derive(Debug)]
pub(crate) struct Decompressed {
    chunks: Receiver<io::Result<Vec<u8>>>,
    current: Vec<u8>,
    at: usize,
    taken: std::sync::Arc<std::sync::atomic::AtomicU64>,
}

impl Decompressed {
    pub(crate) fn open(path: &Path, compression: Compression) -> Result<Self, ImageError> {
        Self::start(Box::new(file::open(path)?), compression, path)
    }

    /// The same for a stream, which tells by its first bytes what it is. `name` is for errors.
    pub(crate) fn of_stream(
        mut stream: impl Read + Send + 'static,
        name: &Path,
    ) -> Result<Self, ImageError> {
        let start = first_bytes(&mut stream, name)?;
        match Format::of(&start, name)? {
            Format::Tar(compression) => {
                let whole = io::Cursor::new(start).chain(stream);
                Self::start(Box::new(whole), compression, name)
            }
            Format::Squashfs => Err(ImageError::Malformed {
                path: name.to_owned(),
                problem: "it is a squashfs".into(),
            }),
        }
    }

    fn start(
        inner: Box<dyn Read + Send>,
        compression: Compression,
        path: &Path,
    ) -> Result<Self, ImageError> {
        let taken = std::sync::Arc::default();
        let count = std::sync::Arc::clone(&taken);
        let file = BufReader::with_capacity(CHUNK, Counted { inner, count });
        let reader = decoder(file, compression, path)?;
        let (sender, chunks) = sync_channel(CHUNKS_AHEAD);
        std::thread::Builder::new()
            .name("rlxc-decompress".into())
            .spawn(move || pump(reader, &sender))
            .map_err(|source| read_error(path, source))?;
        Ok(Self {
            chunks,
            current: Vec::new(),
            at: 0,
            taken,
        })
    }

    /// Bytes of the file that were read so far.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl Read for Decompressed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.current.len() {
            interrupt::check()?;
            match self.chunks.recv() {
                Ok(chunk) => self.current = chunk?,
                // The thread is done.
                Err(_) => return Ok(0),
            }
            self.at = 0;
        }
        let count = buffer.len().min(self.current.len() - self.at);
        buffer[..count].copy_from_slice(&self.current[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// Ends at the end of the stream, at an error, or when nobody listens any more.
fn pump(mut reader: Box<dyn Read + Send>, sender: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut chunk = Vec::with_capacity(CHUNK);
        let read = reader.by_ref().take(CHUNK as u64).read_to_end(&mut chunk);
        match read {
            Ok(0) => return,
            Ok(_) => {
                if sender.send(Ok(chunk)).is_err() {
                    return;
                }
            }
            Err(error) => {
                drop(sender.send(Err(error)));
                return;
            }
        }
    }
}

fn decoder(
    file: BufReader<Counted<Box<dyn Read + Send>>>,
    compression: Compression,
    path: &Path,
) -> Result<Box<dyn Read + Send>, ImageError> {
    let failed = |source| read_error(path, source);
    Ok(match compression {
        Compression::None => Box::new(file),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
        Compression::Zstd => {
            Box::new(zstd::stream::read::Decoder::with_buffer(file).map_err(failed)?)
        }
        Compression::Xz => {
            let concatenated = liblzma::stream::CONCATENATED;
            let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, concatenated)
                .map_err(|error| failed(error.into()))?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(file, stream))
        }
        Compression::Bzip2 => {
            let mut child = Tool::new("bzip2")
                .args(["-dc"])
                .command()?
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .map_err(failed)?;
            feed(file, child.stdin.take());
            Box::new(ChildOutput { child })
        }
    })
}

/// Writes all of it to a program, in a thread. A stream that ends too early makes the program fail.
fn feed(mut from: impl Read + Send + 'static, to: Option<std::process::ChildStdin>) {
    std::thread::spawn(move || to.map(|mut to| io::copy(&mut from, &mut to)));
}

/// What a decompressor writes; its failure is an error at the end, not a short stream.
struct ChildOutput {
    child: std::process::Child,
}

impl Read for ChildOutput {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self
            .child
            .stdout
            .as_mut()
            .map_or(Ok(0), |out| out.read(buffer))?;
        if count == 0 && !buffer.is_empty() {
            let status = self.child.wait()?;
            if !status.success() {
                return Err(io::Error::other(format!(
                    "the decompressor ended with {status}"
                )));
            }
        }
        Ok(count)
    }
}

impl Drop for ChildOutput {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill and `wait` returns at once.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}
