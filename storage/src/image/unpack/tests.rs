//! Images as others make them, and archives that mean harm.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use rlxc_sys::file::Entry as Name;
use tar::{EntryType, Header};

use super::*;
use crate::image::fingerprint;

const METADATA: &str = "architecture: x86_64\ncreation_date: 1700000000\n";

/// A directory for image files and what they unpack to, and a file outside of that to protect.
struct Bench {
    base: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let target = env!("CARGO_MANIFEST_DIR").to_owned() + "/../target";
        let base = tempfile::tempdir_in(target).unwrap();
        fs::create_dir(base.path().join("out")).unwrap();
        fs::write(base.path().join("secret"), "untouched").unwrap();
        Self { base }
    }

    fn out(&self) -> PathBuf {
        self.base.path().join("out")
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.base.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn unpack(&self, archive: &[u8]) -> Result<ImageMetadata, ImageError> {
        self.unpack_within(archive, UnpackLimits::default())
    }

    fn unpack_within(
        &self,
        archive: &[u8],
        limits: UnpackLimits,
    ) -> Result<ImageMetadata, ImageError> {
        let files = ImageFiles {
            meta: self.file("image", archive),
            rootfs: None,
        };
        unpack(&files, &self.out(), limits, &|_| {})
    }

    /// The archive is refused for a reason with `words` in it; nothing stays and nothing outside was touched.
    fn refuses(&self, archive: &[u8], words: &str) {
        let error = self.unpack(archive).unwrap_err();
        let text = chain(&error).to_string();
        assert!(text.contains(words), "{text}");
        assert_eq!(fs::read_dir(self.out()).unwrap().count(), 0, "{text}");
        let secret = self.base.path().join("secret");
        assert_eq!(fs::read_to_string(&secret).unwrap(), "untouched");
        assert_eq!(fs::metadata(&secret).unwrap().nlink(), 1);
    }
}

/// Writes entries as they are, however harmful.
#[derive(Default)]
struct Maker(Vec<u8>);

impl Maker {
    /// Begins with sound metadata.
    fn image() -> Self {
        Self::default().file("metadata.yaml", METADATA.as_bytes())
    }

    fn entry(mut self, kind: EntryType, path: &str, link: &str, data: &[u8]) -> Self {
        let mut header = Header::new_ustar();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(if kind == EntryType::Directory {
            0o755
        } else {
            0o644
        });
        header.set_uid(1000);
        header.set_gid(1001);
        header.set_mtime(1_600_000_000);
        header.set_size(data.len() as u64);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.data(data)
    }

    fn data(mut self, data: &[u8]) -> Self {
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, path: &str, data: &[u8]) -> Self {
        self.entry(EntryType::Regular, path, "", data)
    }

    fn dir(self, path: &str) -> Self {
        self.entry(EntryType::Directory, path, "", b"")
    }

    fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(EntryType::Symlink, path, target, b"")
    }

    fn link(self, path: &str, target: &str) -> Self {
        self.entry(EntryType::Link, path, target, b"")
    }

    fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut text = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let length = (rest + 1..rest + 10).find(|all| rest + all.to_string().len() == *all);
            text.extend_from_slice(format!("{} {key}=", length.unwrap()).as_bytes());
            text.extend_from_slice(value);
            text.push(b'\n');
        }
        self.entry(EntryType::XHeader, "pax", "", &text)
    }

    fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

#[test]
fn unpacks_what_a_distribution_has() {
    let bench = Bench::new();
    let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let archive = Maker::image()
        .dir("templates/")
        .file("templates/hostname.tpl", b"{{ name }}")
        .dir("./rootfs/")
        .dir("rootfs/bin")
        .pax(&[("SCHILY.xattr.security.capability", capability)])
        .file("rootfs/bin/ping", b"ping")
        .link("rootfs/bin/ping6", "rootfs/bin/ping")
        .symlink("rootfs/sbin", "/bin")
        .entry(EntryType::Fifo, "rootfs/bin/fifo", "", b"")
        .entry(EntryType::Char, "rootfs/null", "", b"")
        .link("rootfs/null2", "rootfs/null")
        .pax(&[
            ("path", "rootfs/deep/".repeat(20).as_bytes()),
            ("mtime", b"17.5"),
        ])
        .dir("short")
        .file("other/thing", b"ignored")
        .end();
    let metadata = bench.unpack(&archive).unwrap();
    assert_eq!(metadata.architecture, "x86_64");
    let root = bench.out().join("rootfs");
    let ping = fs::metadata(root.join("bin/ping")).unwrap();
    assert_eq!((ping.uid(), ping.gid(), ping.nlink()), (1000, 1001, 2));
    assert_eq!((ping.mode() & 0o7777, ping.mtime()), (0o644, 1_600_000_000));
    assert_eq!(
        fs::metadata(root.join("bin")).unwrap().mtime(),
        1_600_000_000
    );
    let dir = path::open_dir(&root.join("bin")).unwrap();
    let kept = Name::new(&dir, "ping".as_ref()).xattr("security.capability".as_ref());
    assert_eq!(kept.unwrap().unwrap(), capability);
    let fifo = fs::symlink_metadata(root.join("bin/fifo")).unwrap();
    assert!(fifo.file_type().is_fifo());
    assert_eq!(fs::read_link(root.join("sbin")).unwrap(), Path::new("/bin"));
    assert!(!root.join("null").exists() && !root.join("null2").exists());
    let deep = root.join("deep").join("rootfs/deep/".repeat(19));
    assert_eq!(fs::metadata(deep).unwrap().mtime(), 17);
    let template = fs::metadata(bench.out().join("templates/hostname.tpl")).unwrap();
    assert_eq!(template.uid(), 0);
    assert!(!bench.out().join("other").exists());
}

#[test]
fn keeps_setuid_bits_and_drops_attributes_that_steer_overlay() {
    let bench = Bench::new();
    let mut maker = Maker::image().pax(&[
        ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
        ("SCHILY.xattr.user.overlay.opaque", b"y"),
        ("SCHILY.xattr.user.comment", b"kept"),
    ]);
    let at = maker.0.len();
    maker = maker.file("rootfs/su", b"x");
    let mut header = Header::new_old();
    header
        .as_mut_bytes()
        .copy_from_slice(&maker.0[at..at + 512]);
    header.set_mode(0o4755);
    header.set_cksum();
    maker.0[at..at + 512].copy_from_slice(header.as_bytes());
    bench.unpack(&maker.end()).unwrap();
    let root = path::open_dir(&bench.out().join("rootfs")).unwrap();
    let su = Name::new(&root, "su".as_ref());
    assert_eq!(su.list_xattrs().unwrap(), ["user.comment"]);
    let stat = fs::metadata(bench.out().join("rootfs/su")).unwrap();
    assert_eq!(stat.mode() & 0o7777, 0o4755);
}

#[test]
fn tells_compressions_by_their_first_bytes() {
    let plain = Maker::image().file("rootfs/hello", b"hello").end();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(&plain).unwrap();
    let zstd = zstd::encode_all(&plain[..], 1).unwrap();
    let (gzip, xz) = (gzip.finish().unwrap(), xz.finish().unwrap());
    for archive in [plain, gzip, xz, zstd] {
        let bench = Bench::new();
        bench.unpack(&archive).unwrap();
        let hello = fs::read_to_string(bench.out().join("rootfs/hello"));
        assert_eq!(hello.unwrap(), "hello");
        // Half of it must never look like the whole, wherever it is cut.
        let bench = Bench::new();
        for part in [
            archive.len() / 2,
            archive.len() - 1025.min(archive.len() / 3),
        ] {
            assert!(bench.unpack(&archive[..part]).is_err());
            assert_eq!(fs::read_dir(bench.out()).unwrap().count(), 0);
        }
    }
}

#[test]
fn unpacks_bzip2_if_the_program_is_there() {
    let bench = Bench::new();
    let plain = Maker::image().file("rootfs/hello", b"hello").end();
    let Ok(packed) = rlxc_sys::tool::Tool::new("bzip2").input(plain).run() else {
        assert!(
            std::env::var_os("RLXC_FORBID_SKIP").is_none(),
            "bzip2 is needed"
        );
        eprintln!("skipped: bzip2 is not installed");
        return;
    };
    bench.unpack(&packed).unwrap();
    assert!(bench.out().join("rootfs/hello").exists());
}

#[test]
fn unpacks_split_images() {
    let bench = Bench::new();
    let files = ImageFiles {
        meta: bench.file("meta", &Maker::image().end()),
        rootfs: Some(
            bench.file(
                "rootfs.tar",
                &Maker::default()
                    .dir("./")
                    .file("./etc/hostname", b"c1")
                    .link("./etc/other", "./etc/hostname")
                    .end(),
            ),
        ),
    };
    let seen = Cell::new(0);
    unpack(&files, &bench.out(), UnpackLimits::default(), &|bytes| {
        seen.set(bytes);
    })
    .unwrap();
    let other = fs::read_to_string(bench.out().join("rootfs/etc/other"));
    assert_eq!(other.unwrap(), "c1");
    assert_eq!(seen.get(), fingerprint(&files).unwrap().1);
    assert_eq!(
        read_metadata(&files, UnpackLimits::default())
            .unwrap()
            .architecture,
        "x86_64"
    );
}

#[test]
fn unpacks_squashfs_roots_without_devices() {
    let bench = Bench::new();
    let source = bench.base.path().join("source");
    fs::create_dir_all(source.join("etc")).unwrap();
    fs::write(source.join("etc/hostname"), "c1").unwrap();
    let null = rustix::fs::makedev(1, 3);
    let kind = rustix::fs::FileType::CharacterDevice;
    let mode = rustix::fs::Mode::from_raw_mode(0o666);
    rustix::fs::mknodat(rustix::fs::CWD, source.join("null"), kind, mode, null).unwrap();
    let root = bench.base.path().join("root.squashfs");
    let squashed = rlxc_sys::tool::Tool::new("mksquashfs")
        .args([&source, &root])
        .run();
    if let Err(error) = squashed {
        assert!(std::env::var_os("RLXC_FORBID_SKIP").is_none(), "{error}");
        eprintln!("skipped: {error}");
        return;
    }
    let files = ImageFiles {
        meta: bench.file("meta", &Maker::image().end()),
        rootfs: Some(root),
    };
    let few = UnpackLimits {
        max_entries: 2,
        ..UnpackLimits::default()
    };
    assert!(unpack(&files, &bench.out(), few, &|_| {}).is_err());
    let small = UnpackLimits {
        max_bytes: 1 << 20,
        ..UnpackLimits::default()
    };
    unpack(&files, &bench.out(), small, &|_| {}).unwrap();
    let hostname = fs::read_to_string(bench.out().join("rootfs/etc/hostname"));
    assert_eq!(hostname.unwrap(), "c1");
    assert!(!bench.out().join("rootfs/null").exists());
}

#[test]
fn refuses_paths_out_of_the_tree() {
    let bench = Bench::new();
    for path in [
        "/rootfs/x",
        "/etc/x",
        "../secret",
        "rootfs/../../secret",
        "..",
    ] {
        let archive = Maker::image().file(path, b"evil").end();
        bench.refuses(&archive, "is refused");
        let archive = Maker::image()
            .pax(&[("path", path.as_bytes())])
            .file("x", b"evil");
        bench.refuses(&archive.end(), "is refused");
    }
}

#[test]
fn refuses_entries_through_links() {
    let bench = Bench::new();
    for target in ["../..", "/", "/etc", ".", "real", "/proc/self/root"] {
        let archive = Maker::image()
            .dir("rootfs/real")
            .symlink("rootfs/link", target)
            .file("rootfs/link/secret", b"evil");
        bench.refuses(&archive.end(), "unpack the archive entry");
        let archive = Maker::image()
            .dir("rootfs/real")
            .symlink("rootfs/link", target)
            .dir("rootfs/link/new/dir");
        bench.refuses(&archive.end(), "unpack the archive entry");
    }
    // The same for the attributes of a directory that became a link.
    let archive = Maker::image()
        .symlink("rootfs/link", "../..")
        .dir("rootfs/link");
    bench.refuses(&archive.end(), "unpack the archive entry");
    let archive = Maker::image()
        .symlink("rootfs", "..")
        .file("rootfs/secret", b"x");
    bench.refuses(&archive.end(), "is refused");
}

#[test]
fn a_file_in_place_of_a_link_does_not_write_through_it() {
    let bench = Bench::new();
    let archive = Maker::image()
        .symlink("rootfs/x", "../../secret")
        .file("rootfs/x", b"harmless")
        .end();
    bench.unpack(&archive).unwrap();
    let x = fs::read_to_string(bench.out().join("rootfs/x")).unwrap();
    assert_eq!(x, "harmless");
    let secret = fs::read_to_string(bench.base.path().join("secret")).unwrap();
    assert_eq!(secret, "untouched");
}

#[test]
fn a_directory_is_not_replaced() {
    let bench = Bench::new();
    let archive = Maker::image()
        .dir("rootfs/a")
        .symlink("rootfs/a", "/etc")
        .file("rootfs/a/x", b"evil");
    bench.refuses(&archive.end(), "unpack the archive entry `rootfs/a`");
}

#[test]
fn refuses_hard_links_to_the_outside() {
    let bench = Bench::new();
    for target in [
        "/etc/passwd",
        "../secret",
        "rootfs/../../secret",
        "metadata.yaml",
    ] {
        let archive = Maker::image().link("rootfs/x", target).end();
        bench.refuses(&archive, "is refused");
    }
    let archive = Maker::image()
        .symlink("rootfs/up", "../..")
        .link("rootfs/x", "rootfs/up/secret");
    bench.refuses(&archive.end(), "unpack the archive entry");
}

#[test]
fn refuses_what_does_not_belong_beside_the_root() {
    let bench = Bench::new();
    for kind in [
        EntryType::Char,
        EntryType::Block,
        EntryType::Symlink,
        EntryType::Fifo,
    ] {
        let archive = Maker::image()
            .entry(kind, "templates/x", "/etc/passwd", b"")
            .end();
        bench.refuses(&archive, "is refused");
        let archive = Maker::default().entry(kind, "metadata.yaml", "/etc/passwd", b"");
        bench.refuses(&archive.end(), "is refused");
    }
    let twice = Maker::image()
        .file("metadata.yaml", METADATA.as_bytes())
        .end();
    bench.refuses(&twice, "it must be one plain file");
    bench.refuses(&Maker::image().end(), "no `rootfs`");
    bench.refuses(&Maker::default().dir("rootfs").end(), "no `metadata.yaml`");
    let metadata = Maker::default().file("metadata.yaml", b"{").dir("rootfs");
    bench.refuses(&metadata.end(), "parse `metadata.yaml`");
}

#[test]
fn stops_at_its_limits() {
    let bench = Bench::new();
    let mut bomb = Maker::image().file("rootfs/zeros", &vec![0; 8 << 20]).end();
    bomb = zstd::encode_all(&bomb[..], 1).unwrap();
    assert!(bomb.len() < 1 << 16);
    let limits = UnpackLimits {
        max_bytes: 1 << 20,
        max_entries: 10,
    };
    let error = bench.unpack_within(&bomb, limits).unwrap_err();
    assert!(matches!(error, ImageError::TooBig { unit: "bytes", .. }));
    let mut many = Maker::image();
    for number in 0..20 {
        many = many.dir(&format!("rootfs/{number}"));
    }
    let error = bench.unpack_within(&many.end(), limits).unwrap_err();
    assert!(matches!(error, ImageError::TooBig { unit: "files", .. }));
    assert_eq!(fs::read_dir(bench.out()).unwrap().count(), 0);
}

#[test]
fn refuses_extensions_that_fill_memory() {
    let bench = Bench::new();
    for kind in [
        EntryType::XHeader,
        EntryType::GNULongName,
        EntryType::XGlobalHeader,
    ] {
        let archive = Maker::image()
            .entry(kind, "x", "", &vec![b'x'; 2 << 20])
            .end();
        bench.refuses(&archive, "not a sound tar archive");
    }
}

#[test]
fn refuses_what_is_no_archive() {
    let bench = Bench::new();
    bench.refuses(b"", "neither a tarball");
    bench.refuses(b"#!/bin/sh\n", "neither a tarball");
    let sound = Maker::image().file("rootfs/x", b"data").end();
    let mut bad_sum = sound.clone();
    bad_sum[1024] ^= 1;
    bench.refuses(&bad_sum, "wrong checksum");
    bench.refuses(&sound[..sound.len() - 1024], "truncated");
    bench.refuses(&sound[..sound.len() - 1300], "truncated");
    let odd = Maker::image().entry(EntryType::new(b'Z'), "rootfs/x", "", b"");
    bench.refuses(&odd.end(), "unknown type");
    for record in ["99 x=y\n", "x", "5 =", "0 a=b\n"] {
        let archive = Maker::image().entry(EntryType::XHeader, "x", "", record.as_bytes());
        bench.refuses(&archive.dir("rootfs").end(), "pax record");
    }
}

#[test]
fn sparse_files_stay_sparse_in_every_format() {
    let bench = Bench::new();
    let map = b"1\n1048576\n4\n";
    let mut data = map.to_vec();
    data.resize(512, 0);
    data.extend_from_slice(b"data");
    let newest = Maker::image()
        .pax(&[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"rootfs/hole"),
            ("GNU.sparse.realsize", b"16777216"),
        ])
        .file("rootfs/GNUSparseFile.0/hole", &data)
        .end();
    let middle = Maker::image()
        .pax(&[
            ("GNU.sparse.map", b"1048576,4"),
            ("GNU.sparse.name", b"rootfs/hole"),
            ("GNU.sparse.size", b"16777216"),
        ])
        .file("rootfs/x", b"data")
        .end();
    for archive in [newest, middle] {
        let bench = Bench::new();
        bench.unpack(&archive).unwrap();
        check_hole(&bench);
    }
    let bad = Maker::image().pax(&[("GNU.sparse.map", b"0,9"), ("GNU.sparse.size", b"5")]);
    bench.refuses(&bad.file("rootfs/x", b"123456789").end(), "sparse file");
}

fn check_hole(bench: &Bench) {
    let path = bench.out().join("rootfs/hole");
    let stat = fs::metadata(&path).unwrap();
    assert_eq!(stat.len(), 16 << 20);
    assert!(stat.blocks() * 512 < 1 << 20);
    let bytes = fs::read(&path).unwrap();
    assert_eq!(&bytes[1 << 20..(1 << 20) + 4], b"data");
}

#[test]
fn reads_what_tar_itself_writes() {
    for format in ["gnu", "pax", "ustar"] {
        let bench = Bench::new();
        let source = bench.base.path().join("source");
        fs::create_dir_all(source.join("rootfs")).unwrap();
        fs::write(source.join("metadata.yaml"), METADATA).unwrap();
        let hole = File::create(source.join("rootfs/hole")).unwrap();
        hole.set_len(16 << 20).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&hole, b"data", 1 << 20).unwrap();
        let long = "n".repeat(if format == "ustar" { 90 } else { 200 });
        fs::write(source.join("rootfs").join(&long), "long").unwrap();
        let image = bench.base.path().join("image");
        let mut tar = rlxc_sys::tool::Tool::new("tar")
            .args(["-cf"])
            .args([&image]);
        if format != "ustar" {
            tar = tar.args(["--sparse"]);
        }
        tar.args([format!("--format={format}"), "-C".into()])
            .args([&source])
            .args(["."])
            .run()
            .unwrap();
        let archive = fs::read(&image).unwrap();
        bench.unpack(&archive).unwrap();
        let text = fs::read_to_string(bench.out().join("rootfs").join(&long));
        assert_eq!(text.unwrap(), "long");
        if format != "ustar" {
            check_hole(&bench);
        }
    }
}

#[test]
fn a_target_in_use_is_left_alone() {
    let bench = Bench::new();
    fs::create_dir(bench.out().join("rootfs")).unwrap();
    let archive = Maker::image().dir("rootfs").end();
    assert!(bench.unpack(&archive).is_err());
    assert!(bench.out().join("rootfs").exists());
}
