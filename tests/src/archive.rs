//! Image archives made by hand: good ones and, above all, bad ones that no honest tool would write.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

/// What every image must have; for the architecture of this host.
pub fn metadata(description: &str) -> String {
    format!(
        "architecture: {}\ncreation_date: 1700000000\nproperties:\n  os: busybox\n  release: \"1\"\n  architecture: {}\n  description: {description}\n",
        std::env::consts::ARCH,
        std::env::consts::ARCH
    )
}

/// What no compression makes smaller.
pub fn noise(mib: usize) -> Vec<u8> {
    let mut bytes = vec![0; mib << 20];
    let read = std::fs::File::open("/dev/urandom")
        .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut bytes));
    assert!(read.is_ok(), "read random bytes: {read:?}");
    bytes
}

/// A tar stream in memory that takes any name, however wrong.
#[derive(Debug)]
pub struct Archive {
    bytes: Vec<u8>,
}

impl Default for Archive {
    fn default() -> Self {
        Self::new()
    }
}

impl Archive {
    /// Nothing in it.
    pub fn new() -> Self {
        Self { bytes: Vec::new() }
    }

    /// `metadata.yaml` and an empty `rootfs/`.
    #[must_use]
    pub fn image(description: &str) -> Self {
        Self::new()
            .file("metadata.yaml", 0o644, metadata(description).as_bytes())
            .dir("rootfs")
    }

    /// A regular file of root.
    #[must_use]
    pub fn file(self, name: &str, mode: u32, content: &[u8]) -> Self {
        self.entry(header(EntryType::Regular, name, "", mode), content)
    }

    /// A directory of root.
    #[must_use]
    pub fn dir(self, name: &str) -> Self {
        self.entry(header(EntryType::Directory, name, "", 0o755), &[])
    }

    /// A symbolic link.
    #[must_use]
    pub fn symlink(self, name: &str, target: &str) -> Self {
        self.entry(header(EntryType::Symlink, name, target, 0o777), &[])
    }

    /// A hard link.
    #[must_use]
    pub fn hardlink(self, name: &str, target: &str) -> Self {
        self.entry(header(EntryType::Link, name, target, 0o644), &[])
    }

    /// A block device 8:0, the first disk of many hosts.
    #[must_use]
    pub fn device(self, name: &str) -> Self {
        let mut device = header(EntryType::Block, name, "", 0o666);
        let _numbers = device
            .set_device_major(8)
            .and_then(|()| device.set_device_minor(0))
            .is_ok();
        self.entry(device, &[])
    }

    fn entry(mut self, mut header: Header, content: &[u8]) -> Self {
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.bytes.extend_from_slice(header.as_bytes());
        self.bytes.extend_from_slice(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self
    }

    /// The finished stream.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 1024, 0);
        self.bytes
    }
}

/// Names are written as bytes: the crate's own setters refuse what we want to write.
fn header(kind: EntryType, name: &str, link: &str, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    let raw = header.as_old_mut();
    raw.name[..name.len()].copy_from_slice(name.as_bytes());
    raw.linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_700_000_000);
    header
}

/// Packs a directory as it is, owners as numbers; names begin with `prefix`.
pub fn pack(dir: &Path, prefix: &str, before: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    let mut builder = Builder::new(before);
    builder.follow_symlinks(false);
    builder
        .append_dir_all(prefix, dir)
        .with_context(|| format!("pack {}", dir.display()))?;
    Ok(builder.into_inner()?)
}

/// Compresses with xz.
pub fn xz(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

/// Compresses with gzip.
pub fn gzip(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

/// An xz stream that is small and unpacks to an image with one file of that many zeros.
pub fn xz_bomb(size: u64) -> anyhow::Result<Vec<u8>> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(&Archive::image("bomb").bytes)?;
    let mut header = Header::new_gnu();
    header.set_path("rootfs/zeros")?;
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_size(size);
    header.set_cksum();
    encoder.write_all(header.as_bytes())?;
    let block = vec![0; 1 << 20];
    for _ in 0..size >> 20 {
        encoder.write_all(&block)?;
    }
    encoder.write_all(&[0; 1024])?;
    Ok(encoder.finish()?)
}

/// SHA-256 of the parts one after the other: the fingerprint of an image made of these files.
pub fn fingerprint(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hex::encode(hash.finalize())
}
