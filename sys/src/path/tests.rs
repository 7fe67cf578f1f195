use super::*;
use std::fs;
use std::os::unix::fs::symlink as host_symlink;

struct Trap {
    base: tempfile::TempDir,
    root: OwnedFd,
}

/// `root/` with links that try to leave it, and a `secret` outside.
fn trap() -> Trap {
    let base = tempfile::tempdir().unwrap();
    let root = base.path().join("root");
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::write(root.join("etc/passwd"), "inside").unwrap();
    fs::create_dir(base.path().join("etc")).unwrap();
    fs::write(base.path().join("etc/secret"), "outside").unwrap();
    host_symlink("../etc", root.join("up")).unwrap();
    host_symlink("/etc", root.join("absolute")).unwrap();
    host_symlink("etc", root.join("inner")).unwrap();
    host_symlink("/proc/self/root", root.join("magic")).unwrap();
    let root = open_dir(&root).unwrap();
    Trap { base, root }
}

fn open(trap: &Trap, path: &str, resolve: Resolve) -> Result<OwnedFd, FileError> {
    open_beneath(
        &trap.root,
        Path::new(path),
        OFlags::RDONLY,
        Mode::empty(),
        resolve,
    )
}

#[test]
fn beneath_follows_inner_links_only() {
    let trap = trap();
    assert!(open(&trap, "inner/passwd", Resolve::Beneath).is_ok());
    for path in [
        "up/secret",
        "absolute/passwd",
        "../etc/secret",
        "/etc/passwd",
        "magic/etc",
    ] {
        assert!(open(&trap, path, Resolve::Beneath).is_err(), "{path}");
    }
}

#[test]
fn in_root_takes_links_as_the_guest_would() {
    let trap = trap();
    for path in [
        "inner/passwd",
        "absolute/passwd",
        "/etc/passwd",
        "up/passwd",
        "../../etc/passwd",
    ] {
        assert!(open(&trap, path, Resolve::InRoot).is_ok(), "{path}");
    }
    assert!(open(&trap, "up/secret", Resolve::InRoot).is_err());
}

#[test]
fn no_symlinks_refuses_even_inner_ones() {
    let trap = trap();
    assert!(open(&trap, "etc/passwd", Resolve::NoSymlinks).is_ok());
    assert!(open(&trap, "inner/passwd", Resolve::NoSymlinks).is_err());
}

#[test]
fn makes_links_renames_and_removes_below_the_root() {
    let trap = trap();
    let (root, how) = (&trap.root, Resolve::InRoot);
    create_dir(
        root,
        Path::new("/inner/new"),
        Mode::from_raw_mode(0o1777),
        how,
    )
    .unwrap();
    let made = stat(root, Path::new("etc/new"), how).unwrap().unwrap();
    assert_eq!(made.st_mode & 0o7777, 0o1777);
    symlink(root, OsStr::new("/x"), Path::new("etc/new/link"), how).unwrap();
    assert_eq!(
        read_link(root, Path::new("etc/new/link"), how).unwrap(),
        "/x"
    );
    hard_link(root, Path::new("etc/passwd"), Path::new("etc/new/two"), how).unwrap();
    rename(
        root,
        Path::new("etc/new/two"),
        Path::new("etc/new/three"),
        how,
    )
    .unwrap();
    unlink(root, Path::new("etc/new/three"), how).unwrap();
    unlink(root, Path::new("etc/new/link"), how).unwrap();
    remove_dir(root, Path::new("etc/new"), how).unwrap();
    assert!(stat(root, Path::new("etc/new"), how).unwrap().is_none());
}

#[test]
fn a_path_that_ends_in_no_name_is_refused() {
    let trap = trap();
    for path in ["", "/", "..", "etc/.."] {
        assert!(
            unlink(&trap.root, Path::new(path), Resolve::InRoot).is_err(),
            "{path}"
        );
    }
}

#[test]
fn removing_a_tree_leaves_what_links_point_to() {
    let trap = trap();
    let base = open_dir(trap.base.path()).unwrap();
    remove_tree(&base, OsStr::new("root")).unwrap();
    remove_tree(&base, OsStr::new("root")).unwrap();
    assert!(!trap.base.path().join("root").exists());
    assert!(trap.base.path().join("etc/secret").exists());
}

#[test]
fn removes_trees_deeper_than_descriptors_or_paths_allow() {
    let base = tempfile::tempdir().unwrap();
    let base_fd = open_dir(base.path()).unwrap();
    let deep = Mode::from_raw_mode(0o755);
    rustix::fs::mkdirat(&base_fd, "deep", deep).unwrap();
    let mut here = open_dir(&base.path().join("deep")).unwrap();
    for _ in 0..3000 {
        rustix::fs::mkdirat(&here, "directory", deep).unwrap();
        here = open_beneath(
            &here,
            Path::new("directory"),
            OFlags::PATH,
            Mode::empty(),
            Resolve::NoSymlinks,
        )
        .unwrap();
    }
    remove_tree(&base_fd, OsStr::new("deep")).unwrap();
    assert_eq!(fs::read_dir(base.path()).unwrap().count(), 0);
}
