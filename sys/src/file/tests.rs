use super::*;
use std::os::unix::fs::{FileExt, MetadataExt};

#[test]
fn names_the_file_in_the_error_and_the_cause_as_source() {
    let error = read(Path::new("/no/such/file")).unwrap_err();
    assert_eq!(error.to_string(), "read `/no/such/file`");
    assert!(error.is_not_found());
}

#[test]
fn replaces_a_file_and_leaves_nothing_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    for text in ["one", "two"] {
        write_atomic(&path, text.as_bytes(), 0o600, Durability::Durable).unwrap();
        assert_eq!(read_text(&path).unwrap(), text);
    }
    assert_eq!(list_dir(dir.path()).unwrap(), ["state"]);
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
}

#[test]
fn a_write_that_cannot_be_put_in_place_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("state/full")).unwrap();
    let path = dir.path().join("state");
    let error = write_atomic(&path, b"text", 0o600, Durability::Volatile).unwrap_err();
    assert_eq!(error.action, "write");
    assert_eq!(list_dir(dir.path()).unwrap(), ["state"]);
}

#[test]
fn copies_data_and_keeps_holes() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    let source = File::create_new(&from).unwrap();
    source.set_len(64 << 20).unwrap();
    source.write_all_at(b"begin", 0).unwrap();
    source.write_all_at(b"middle", 32 << 20).unwrap();
    let target = File::create_new(&to).unwrap();
    copy_contents(&open(&from).unwrap(), &target, 64 << 20).unwrap();
    assert_eq!(read(&from).unwrap(), read(&to).unwrap());
    assert!(target.metadata().unwrap().blocks() * 512 < 1 << 20);
}

#[test]
fn ensures_directories_once_and_again() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("a/b/c");
    ensure_dir(&deep, 0o700).unwrap();
    ensure_dir(&deep, 0o711).unwrap();
    assert_eq!(std::fs::metadata(&deep).unwrap().mode() & 0o7777, 0o700);
}

#[test]
fn keeps_extended_attributes_of_files_and_of_links_themselves() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    std::os::unix::fs::symlink("file", dir.path().join("link")).unwrap();
    let fd = File::open(dir.path()).unwrap();
    let file = Entry::new(&fd, OsStr::new("file"));
    let name = OsStr::new("user.comment");
    if let Err(error) = file.set_xattr(name, &[7; 2000]) {
        assert!(
            std::env::var_os("RLXC_FORBID_SKIP").is_none(),
            "user xattrs are needed: {error}"
        );
        eprintln!("skipped: no user xattrs here: {error}");
        return;
    }
    assert_eq!(file.list_xattrs().unwrap(), ["user.comment"]);
    assert_eq!(file.xattr(name).unwrap().unwrap(), [7; 2000]);
    let link = Entry::new(&fd, OsStr::new("link"));
    assert_eq!(link.xattr(name).unwrap(), None);
}
