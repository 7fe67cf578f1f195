//! An image's name by content: SHA-256 of its file or files, the metadata first, as LXD computes it.

use std::io::{self, Write};

use rlxc_sys::file::{self, FileError};
use sha2::{Digest, Sha256};

use super::ImageFiles;

/// Computes a fingerprint of what is written through it. Of a split image: the metadata first, then the root.
#[derive(Debug)]
pub struct Fingerprinter<W> {
    inner: W,
    hash: Sha256,
    bytes: u64,
}

impl<W: Write> Fingerprinter<W> {
    /// Passes everything on to `inner`.
    pub fn new(inner: W) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
            bytes: 0,
        }
    }

    /// The inner writer, to go on with another file.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.inner
    }

    /// The fingerprint in hexadecimal, how many bytes that were, and the inner writer.
    pub fn finish(self) -> (String, u64, W) {
        (hex::encode(self.hash.finalize()), self.bytes, self.inner)
    }
}

impl<W: Write> Write for Fingerprinter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hash.update(&bytes[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// The fingerprint of image files that are on disk, and their size in bytes.
pub fn fingerprint(files: &ImageFiles) -> Result<(String, u64), FileError> {
    let mut sum = Fingerprinter::new(io::sink());
    for path in std::iter::once(&files.meta).chain(&files.rootfs) {
        let mut from = io::BufReader::with_capacity(1 << 18, file::open(path)?);
        io::copy(&mut from, &mut sum).map_err(|error| FileError::new("read", path, error))?;
    }
    let (fingerprint, bytes, _) = sum.finish();
    Ok((fingerprint, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_files_is_that_of_their_concatenation() {
        let dir = tempfile::tempdir().unwrap();
        let (meta, rootfs) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::write(&meta, "ab").unwrap();
        std::fs::write(&rootfs, "c").unwrap();
        let files = ImageFiles {
            meta,
            rootfs: Some(rootfs),
        };
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(fingerprint(&files).unwrap(), (abc.to_owned(), 3));
    }
}
