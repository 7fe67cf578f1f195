//! Detached mounts are tried for real: as root, in a directory of the test's own.

use super::*;
use std::fs;

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        assert!(std::env::var_os("RLXC_FORBID_SKIP").is_none(), "needs root");
        eprintln!("skipped: needs root");
    }
    root
}

fn overlay(dir: &Path) -> RootSource {
    for part in ["lower", "upper", "work"] {
        fs::create_dir(dir.join(part)).unwrap();
    }
    fs::write(dir.join("lower/from-image"), "image").unwrap();
    RootSource::Overlay {
        lower: vec![dir.join("lower")],
        upper: dir.join("upper"),
        work: dir.join("work"),
    }
}

fn inside(mount: &OwnedFd, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{name}", mount.as_raw_fd()))
}

#[test]
fn tree_shows_the_directory() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "x").unwrap();
    let source = RootSource::Tree {
        path: dir.path().to_owned(),
    };
    let mount = assemble(&source, None).unwrap();
    assert_eq!(fs::read(inside(&mount, "file")).unwrap(), b"x");
}

#[test]
fn overlay_shows_the_image_and_writes_to_the_upper_layer() {
    if !is_root() {
        return;
    }
    // A colon in the name: it parts layers in the old syntax.
    let dir = tempfile::Builder::new().prefix("a:b").tempdir().unwrap();
    let mount = assemble(&overlay(dir.path()), None).unwrap();
    assert_eq!(fs::read(inside(&mount, "from-image")).unwrap(), b"image");
    fs::write(inside(&mount, "new"), "new").unwrap();
    assert_eq!(fs::read(dir.path().join("upper/new")).unwrap(), b"new");
}

#[test]
fn error_names_the_missing_tree() {
    let source = RootSource::Tree {
        path: PathBuf::from("/no/such/tree"),
    };
    let error = assemble(&source, None).unwrap_err();
    assert_eq!(error.to_string(), "open `/no/such/tree` for mounting");
}
