//! Compresses what is packed, on all cores.

use std::io::{self, Write};
use std::thread::available_parallelism;

use rlxc_sys::interrupt;

use super::algorithm::Algorithm;
use super::compression::Compression;
use super::gzip::GzipEncoder;

/// Of zstd, whose own default is 3: that takes twice the time for a seventh less, and two cores can't keep up with a disk.
const ZSTD_LEVEL: u8 = 1;
/// What xz(1) takes by itself.
const XZ_LEVEL: u8 = 6;
/// Each thread of xz takes a hundred megabytes.
const XZ_THREADS: u32 = 8;

/// Compresses what is written to it into `out`, which is better one with a buffer: what is not compressed comes in small pieces.
pub(crate) enum Compressor<W: Write> {
    None(W),
    Gzip(GzipEncoder<W>),
    Zstd(zstd::stream::write::Encoder<'static, W>),
    Xz(liblzma::write::XzEncoder<W>),
}

impl<W: Write> Compressor<W> {
    pub(crate) fn new(out: W, algorithm: Algorithm) -> io::Result<Self> {
        let threads = available_parallelism().map_or(1, usize::from);
        let count = u32::try_from(threads).unwrap_or(1);
        let level = algorithm.level;
        Ok(match algorithm.compression {
            Compression::None => Self::None(out),
            Compression::Gzip => Self::Gzip(GzipEncoder::new(out, threads, level)?),
            Compression::Zstd => {
                let level = level.unwrap_or(ZSTD_LEVEL).into();
                let mut encoder = zstd::stream::write::Encoder::new(out, level)?;
                encoder.multithread(count)?;
                encoder.include_checksum(true)?;
                Self::Zstd(encoder)
            }
            Compression::Xz => {
                let stream = liblzma::stream::MtStreamBuilder::new()
                    .threads(count.min(XZ_THREADS))
                    .preset(level.unwrap_or(XZ_LEVEL).into())
                    .check(liblzma::stream::Check::Crc64)
                    .encoder()?;
                Self::Xz(liblzma::write::XzEncoder::new_stream(out, stream))
            }
            Compression::Bzip2 => {
                let kind = io::ErrorKind::Unsupported;
                return Err(io::Error::new(kind, "new images are not packed with bzip2"));
            }
        })
    }

    pub(crate) fn finish(self) -> io::Result<W> {
        match self {
            Self::None(inner) => Ok(inner),
            Self::Gzip(inner) => inner.finish(),
            Self::Zstd(inner) => inner.finish(),
            Self::Xz(inner) => inner.finish(),
        }
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        interrupt::check()?;
        match self {
            Self::None(inner) => inner.write(bytes),
            Self::Gzip(inner) => inner.write(bytes),
            Self::Zstd(inner) => inner.write(bytes),
            Self::Xz(inner) => inner.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::None(inner) => inner.flush(),
            Self::Gzip(inner) => inner.flush(),
            Self::Zstd(inner) => inner.flush(),
            Self::Xz(inner) => inner.flush(),
        }
    }
}
