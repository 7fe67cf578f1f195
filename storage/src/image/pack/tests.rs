use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::*;
use crate::image::{Compression, ImageFiles, UnpackLimits, fingerprint, unpack};

fn metadata() -> ImageMetadata {
    ImageMetadata {
        architecture: "x86_64".into(),
        creation_date: 1_700_000_000,
        ..ImageMetadata::default()
    }
}

/// A root with one of everything.
fn root(dir: &Path) {
    fs::create_dir_all(dir.join("etc")).unwrap();
    fs::write(dir.join("etc/hostname"), "c1").unwrap();
    fs::hard_link(dir.join("etc/hostname"), dir.join("etc/second")).unwrap();
    fs::write(dir.join("su"), vec![7; 100_000]).unwrap();
    std::os::unix::fs::chown(dir.join("su"), Some(3_000_000), Some(7)).unwrap();
    fs::set_permissions(dir.join("su"), fs::Permissions::from_mode(0o4755)).unwrap();
    std::os::unix::fs::symlink("x".repeat(150), dir.join("long-link")).unwrap();
    fs::create_dir(dir.join("d".repeat(120))).unwrap();
    let fd = path::open_dir(dir).unwrap();
    Entry::new(&fd, OsStr::new("su"))
        .set_xattr(OsStr::new("user.x"), b"a=b\n\0c")
        .unwrap();
}

#[test]
fn what_is_packed_unpacks_to_the_same() {
    for text in ["zstd", "zstd -12", "gzip", "gzip -9", "xz", "xz -0", "none"] {
        let base =
            tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR").to_owned() + "/../target").unwrap();
        let (source, out) = (base.path().join("source"), base.path().join("out"));
        root(&source);
        fs::create_dir(&out).unwrap();
        let templates = base.path().join("templates");
        fs::create_dir(&templates).unwrap();
        fs::write(templates.join("t.tpl"), "t").unwrap();
        let file = base.path().join("image");
        let order = PackOrder {
            root: &RootSource::Tree {
                path: source.clone(),
            },
            metadata: &metadata(),
            templates: Some(&templates),
            algorithm: text.parse().unwrap(),
        };
        let target = File::create(&file).unwrap();
        let (sum, size, _) = pack(order, target, &|_| {}).unwrap();
        let files = ImageFiles {
            meta: file.clone(),
            rootfs: None,
        };
        assert_eq!(fingerprint(&files).unwrap(), (sum, size));
        let read = unpack(&files, &out, UnpackLimits::default(), &|_| {}).unwrap();
        assert_eq!(read, metadata());
        assert!(out.join("templates/t.tpl").exists());
        let tar = rlxc_sys::tool::Tool::new("diff")
            .args(["-r", "--no-dereference"])
            .args([&source, &out.join("rootfs")])
            .run();
        tar.unwrap();
        let su = fs::metadata(out.join("rootfs/su")).unwrap();
        assert_eq!((su.uid(), su.mode() & 0o7777), (3_000_000, 0o4755));
        let fd = path::open_dir(&out.join("rootfs")).unwrap();
        let kept = Entry::new(&fd, OsStr::new("su")).xattr(OsStr::new("user.x"));
        assert_eq!(kept.unwrap().unwrap(), b"a=b\n\0c");
        let second = fs::metadata(out.join("rootfs/etc/second")).unwrap();
        assert_eq!(second.nlink(), 2);
    }
}

#[test]
fn tar_itself_reads_what_we_write() {
    let base = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR").to_owned() + "/../target").unwrap();
    let source = base.path().join("source");
    root(&source);
    let file = base.path().join("image");
    let order = PackOrder {
        root: &RootSource::Tree { path: source },
        metadata: &metadata(),
        templates: None,
        algorithm: Compression::Gzip.into(),
    };
    pack(order, File::create(&file).unwrap(), &|_| {}).unwrap();
    let listing = rlxc_sys::tool::Tool::new("tar")
        .args(["-tzf"])
        .args([&file])
        .run()
        .unwrap();
    let listing = String::from_utf8(listing).unwrap();
    let names: Vec<_> = listing.lines().collect();
    assert_eq!(
        names[..3],
        [
            "metadata.yaml",
            "rootfs/",
            &format!("rootfs/{}/", "d".repeat(120))
        ]
    );
    assert!(names.contains(&"rootfs/su"));
}

#[test]
fn the_same_root_gives_the_same_fingerprint() {
    let base = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR").to_owned() + "/../target").unwrap();
    let source = base.path().join("source");
    root(&source);
    let order = PackOrder {
        root: &RootSource::Tree { path: source },
        metadata: &metadata(),
        templates: None,
        algorithm: Compression::None.into(),
    };
    let one = pack(order, io::sink(), &|_| {}).unwrap();
    let two = pack(order, io::sink(), &|_| {}).unwrap();
    assert_eq!((one.0, one.1), (two.0, two.1));
}
