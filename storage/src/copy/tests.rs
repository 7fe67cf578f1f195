use std::fs;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, PermissionsExt};

use rlxc_sys::path::open_dir;

use super::*;

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR").to_owned() + "/../target").unwrap()
}

fn special(path: &Path, kind: FileType, device: u64) {
    rustix::fs::mknodat(rustix::fs::CWD, path, kind, Mode::from(0o640), device).unwrap();
}

/// One of everything.
fn make(dir: &Path) {
    fs::create_dir_all(dir.join("sub/deeper")).unwrap();
    fs::write(dir.join("sub/file"), "text").unwrap();
    std::os::unix::fs::chown(dir.join("sub/file"), Some(1000), Some(1001)).unwrap();
    fs::set_permissions(dir.join("sub/file"), fs::Permissions::from_mode(0o6711)).unwrap();
    fs::hard_link(dir.join("sub/file"), dir.join("again")).unwrap();
    std::os::unix::fs::symlink("/nowhere", dir.join("link")).unwrap();
    let hole = File::create(dir.join("hole")).unwrap();
    hole.set_len(8 << 20).unwrap();
    hole.write_all_at(b"x", 4 << 20).unwrap();
    special(&dir.join("fifo"), FileType::Fifo, 0);
    special(&dir.join("socket"), FileType::Socket, 0);
    special(&dir.join("whiteout"), FileType::CharacterDevice, 0);
    let fd = open_dir(&dir.join("sub")).unwrap();
    let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    Entry::new(&fd, OsStr::new("file"))
        .set_xattr(OsStr::new("security.capability"), capability)
        .unwrap();
    for (name, value) in [("opaque", "y"), ("origin", "z")] {
        Entry::new(&fd, OsStr::new("."))
            .set_xattr(
                OsStr::new(&format!("trusted.overlay.{name}")),
                value.as_bytes(),
            )
            .unwrap();
    }
    let old = fs::FileTimes::new().set_modified(
        std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_nanos(1_500_000_007),
    );
    File::open(dir.join("sub")).unwrap().set_times(old).unwrap();
}

fn copied(attributes: Attributes) -> (tempfile::TempDir, PathBuf) {
    let base = scratch();
    let (from, to) = (base.path().join("from"), base.path().join("to"));
    make(&from);
    fs::create_dir(&to).unwrap();
    copy_tree(open_dir(&from).unwrap(), open_dir(&to).unwrap(), attributes).unwrap();
    (base, to)
}

#[test]
fn keeps_everything() {
    let (_base, to) = copied(Attributes::Content);
    let file = fs::metadata(to.join("sub/file")).unwrap();
    assert_eq!((file.uid(), file.gid(), file.nlink()), (1000, 1001, 2));
    assert_eq!(file.mode() & 0o7777, 0o6711);
    assert_eq!(file.ino(), fs::metadata(to.join("again")).unwrap().ino());
    assert_eq!(
        fs::read_link(to.join("link")).unwrap(),
        Path::new("/nowhere")
    );
    let hole = fs::metadata(to.join("hole")).unwrap();
    assert!(hole.len() == 8 << 20 && hole.blocks() * 512 < 1 << 20);
    let kind = |name| fs::symlink_metadata(to.join(name)).unwrap().file_type();
    assert!(kind("fifo").is_fifo() && kind("socket").is_socket());
    assert!(kind("whiteout").is_char_device());
    let sub = fs::metadata(to.join("sub")).unwrap();
    assert_eq!((sub.mtime(), sub.mtime_nsec()), (1, 500_000_007));
    let fd = open_dir(&to.join("sub")).unwrap();
    let names = |name| Entry::new(&fd, OsStr::new(name)).list_xattrs().unwrap();
    assert_eq!(names("file"), ["security.capability"]);
    assert!(names(".").is_empty());
}

#[test]
fn a_layer_keeps_the_marks_that_overlay_needs() {
    let (_base, to) = copied(Attributes::Layer);
    let fd = open_dir(&to.join("sub")).unwrap();
    let names = Entry::new(&fd, OsStr::new(".")).list_xattrs().unwrap();
    assert_eq!(names, ["trusted.overlay.opaque"]);
}

#[test]
fn refuses_trees_that_are_too_deep() {
    let base = scratch();
    let (from, to) = (base.path().join("from"), base.path().join("to"));
    fs::create_dir_all(from.join("d/".repeat(DEPTH_LIMIT + 2))).unwrap();
    fs::create_dir(&to).unwrap();
    let refused = copy_tree(
        open_dir(&from).unwrap(),
        open_dir(&to).unwrap(),
        Attributes::Content,
    );
    assert!(matches!(refused, Err(CopyError::TooDeep { .. })));
}

/// What `find` and `cat` would show, for comparison.
fn shown(dir: &Path) -> std::collections::BTreeMap<PathBuf, (u32, u32, i64, Vec<u8>)> {
    let mut found = std::collections::BTreeMap::new();
    let mut waiting = vec![dir.to_owned()];
    while let Some(inner) = waiting.pop() {
        for entry in fs::read_dir(&inner).unwrap() {
            let path = entry.unwrap().path();
            let stat = fs::symlink_metadata(&path).unwrap();
            let content = if stat.is_file() {
                fs::read(&path).unwrap()
            } else {
                Vec::new()
            };
            if stat.is_dir() {
                waiting.push(path.clone());
            }
            let key = path.strip_prefix(dir).unwrap().to_owned();
            found.insert(key, (stat.mode(), stat.uid(), stat.mtime(), content));
        }
    }
    found
}

/// Enough files for two steps, old enough for the first.
fn many(dir: &Path) {
    make(dir);
    for number in 0..500 {
        let inner = dir.join(format!("d{}", number % 7));
        fs::create_dir_all(&inner).unwrap();
        fs::write(inner.join(format!("f{number}")), format!("file {number}")).unwrap();
    }
    std::thread::sleep(std::time::Duration::from_millis(250));
}

#[test]
fn a_copy_in_two_steps_misses_nothing_that_was_written_between_them() {
    let base = scratch();
    let (from, to) = (base.path().join("from"), base.path().join("to"));
    many(&from);
    fs::create_dir(&to).unwrap();
    let (source, target) = (open_dir(&from).unwrap(), open_dir(&to).unwrap());
    assert!(is_worth_it(&source).unwrap());
    let early = copy_early(&source, &target, Attributes::Content).unwrap();
    assert!(
        fs::read(to.join("d0/f0")).is_ok(),
        "nothing was copied early"
    );
    // In place, as long as before, and with its old times.
    let stealthy = from.join("d1/f1");
    let times = fs::metadata(&stealthy).unwrap();
    let file = File::options().write(true).open(&stealthy).unwrap();
    file.write_all_at(b"FILE", 0).unwrap();
    let old = fs::FileTimes::new().set_modified(times.modified().unwrap());
    file.set_times(old).unwrap();
    fs::remove_file(from.join("d2/f2")).unwrap();
    fs::rename(from.join("d3/f3"), from.join("d4/f4")).unwrap();
    fs::rename(from.join("d5"), from.join("moved")).unwrap();
    fs::set_permissions(from.join("d6/f6"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::remove_file(from.join("d6/f13")).unwrap();
    fs::create_dir(from.join("d6/f13")).unwrap();
    fs::write(from.join("new"), "new").unwrap();
    fs::hard_link(from.join("d0/f7"), from.join("d0/again")).unwrap();
    early.finish(&source, &target).unwrap();
    assert_eq!(shown(&to), shown(&from));
    let twice = fs::metadata(to.join("d0/again")).unwrap();
    assert_eq!(twice.nlink(), 2);
}

#[test]
fn what_is_young_or_in_memory_or_little_is_copied_in_one_step() {
    let base = scratch();
    let from = base.path().join("from");
    many(&from);
    let begin = |round: u32| {
        let to = base.path().join(format!("to{round}"));
        fs::create_dir(&to).unwrap();
        fs::write(from.join("d0/f0"), "written a moment ago").unwrap();
        let (source, target) = (open_dir(&from).unwrap(), open_dir(&to).unwrap());
        (copy_early(source, target, Attributes::Content), to)
    };
    // On a machine that stands still for a moment the file is old.
    let mut rounds = (0..5).map(begin);
    let (early, to) = rounds.find(|(_, to)| !to.join("d0/f0").exists()).unwrap();
    early
        .unwrap()
        .finish(open_dir(&from).unwrap(), open_dir(&to).unwrap())
        .unwrap();
    assert_eq!(shown(&to), shown(&from));
    let little = base.path().join("little");
    make(&little);
    assert!(!is_worth_it(open_dir(&little).unwrap()).unwrap());
    assert!(!is_worth_it(open_dir(Path::new("/dev/shm")).unwrap()).unwrap());
}

#[test]
fn what_many_threads_copy_is_the_same_and_the_first_failure_ends_it() {
    let base = scratch();
    let (from, to) = (base.path().join("from"), base.path().join("to"));
    many(&from);
    let target = fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH);
    File::open(from.join("d3"))
        .unwrap()
        .set_times(target)
        .unwrap();
    fs::create_dir(&to).unwrap();
    let copy = || {
        copy_tree(
            open_dir(&from).unwrap(),
            open_dir(&to).unwrap(),
            Attributes::Content,
        )
    };
    copy().unwrap();
    assert_eq!(shown(&to), shown(&from));
    assert_eq!(fs::metadata(to.join("d3")).unwrap().mtime(), 0);
    fs::remove_dir_all(&to).unwrap();
    // One of the files is in the way.
    fs::create_dir_all(to.join("d5")).unwrap();
    let error = copy().unwrap_err();
    assert!(error.to_string().contains("d5"), "{error}");
}
