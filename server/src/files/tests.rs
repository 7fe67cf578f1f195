use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rlxc_sys::path::open_dir;
use rlxc_sys::rootfs::RootSource;
use tempfile::TempDir;

use super::attributes::{Attributes, Kind, Modify, Push, WriteMode};
use super::owners::Owners;
use super::tree::{Content, Tree};
use crate::error::Error;

const SECRET: &str = "of the host";

/// A guest's root beside a secret that nobody may reach from it.
struct Bed {
    base: TempDir,
    tree: Tree,
}

impl Bed {
    fn new() -> Self {
        let base = tempfile::tempdir().unwrap();
        fs::create_dir_all(base.path().join("root/etc")).unwrap();
        fs::create_dir(base.path().join("etc")).unwrap();
        fs::write(base.path().join("etc/shadow"), SECRET).unwrap();
        fs::write(base.path().join("root/etc/passwd"), "of the guest").unwrap();
        let tree = Tree {
            root: open_dir(&base.path().join("root")).unwrap(),
            owners: Owners::AsTheyAre,
        };
        Self { base, tree }
    }

    fn inside(&self, path: &str) -> PathBuf {
        self.base.path().join("root").join(path)
    }

    fn read(&self, path: &str) -> Result<String, Error> {
        let (_, content) = self.tree.read(Path::new(path))?;
        Ok(text(content))
    }

    fn write(&self, path: &str, content: &str, push: &Push) -> Result<(), Error> {
        let (mut file, _) = self.tree.write(Path::new(path), push)?;
        file.write_all(content.as_bytes()).unwrap();
        Ok(())
    }

    fn secret_is_safe(&self) {
        let secret = self.base.path().join("etc/shadow");
        assert_eq!(fs::read_to_string(secret).unwrap(), SECRET);
        let outside = fs::read_dir(self.base.path()).unwrap().count();
        let beside = fs::read_dir(self.base.path().join("etc")).unwrap().count();
        assert_eq!((outside, beside), (2, 1));
    }
}

fn text(content: Content) -> String {
    match content {
        Content::File(mut file) => {
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            text
        }
        Content::Directory(names) => names.join(" "),
        Content::Symlink(target) => String::from_utf8(target).unwrap(),
    }
}

fn push(kind: Kind) -> Push {
    Push {
        kind,
        attributes: Attributes::default(),
        modify: Modify::default(),
        write: WriteMode::Overwrite,
    }
}

fn is_root() -> bool {
    let root = nix::unistd::Uid::effective().is_root();
    if !root {
        assert!(std::env::var_os("RLXC_FORBID_SKIP").is_none(), "needs root");
        eprintln!("skipped: needs root");
    }
    root
}

#[test]
fn reads_files_directories_and_links() {
    let bed = Bed::new();
    symlink("passwd", bed.inside("etc/link")).unwrap();
    assert_eq!(bed.read("/etc/passwd").unwrap(), "of the guest");
    assert_eq!(bed.read("etc").unwrap(), "link passwd");
    assert_eq!(bed.read("/etc/link").unwrap(), "passwd");
    assert!(matches!(bed.read("/etc/none"), Err(Error::NotFound { .. })));
}

#[test]
fn writes_appends_and_keeps_what_is_there() {
    let bed = Bed::new();
    let mut file = push(Kind::File);
    file.attributes.mode = Some(0o4750);
    bed.write("/new", "one", &file).unwrap();
    let mode = || {
        fs::metadata(bed.inside("new"))
            .unwrap()
            .permissions()
            .mode()
            & 0o7777
    };
    assert_eq!(mode(), 0o4750);
    file.write = WriteMode::Append;
    file.attributes.mode = Some(0o600);
    bed.write("/new", " two", &file).unwrap();
    assert_eq!(
        (bed.read("/new").unwrap().as_str(), mode()),
        ("one two", 0o4750)
    );
    file.write = WriteMode::Overwrite;
    file.modify.mode = true;
    bed.write("/new", "3", &file).unwrap();
    assert_eq!((bed.read("/new").unwrap().as_str(), mode()), ("3", 0o600));
}

#[test]
fn making_what_is_there_already_is_no_error() {
    let bed = Bed::new();
    let (dir, link) = (push(Kind::Directory), push(Kind::Symlink));
    for _ in 0..2 {
        bed.tree.make_dir(Path::new("/var"), &dir).unwrap();
        bed.tree
            .make_link(Path::new("/run"), b"var", &link)
            .unwrap();
        // A link to a directory is one.
        bed.tree.make_dir(Path::new("/run"), &dir).unwrap();
        bed.tree.make_dir(Path::new("/"), &dir).unwrap();
    }
    assert!(bed.tree.make_dir(Path::new("/etc/passwd"), &dir).is_err());
    assert!(
        bed.tree
            .make_link(Path::new("/run"), b"etc", &link)
            .is_err()
    );
}

#[test]
fn deletes_full_directories_only_if_told_so() {
    let bed = Bed::new();
    symlink("/etc", bed.inside("link")).unwrap();
    bed.tree.remove(Path::new("/link"), true).unwrap();
    assert!(bed.tree.remove(Path::new("/etc"), false).is_err());
    bed.tree.remove(Path::new("/etc"), true).unwrap();
    assert!(bed.tree.remove(Path::new("/"), true).is_err());
    assert_eq!(bed.read("/").unwrap(), "");
    bed.secret_is_safe();
}

#[test]
fn no_link_and_no_dots_lead_out() {
    let bed = Bed::new();
    let host = bed.base.path().join("etc/shadow");
    symlink(&host, bed.inside("absolute")).unwrap();
    symlink("../etc/shadow", bed.inside("relative")).unwrap();
    symlink(bed.base.path(), bed.inside("dir")).unwrap();
    symlink("..", bed.inside("up")).unwrap();
    let file = push(Kind::File);
    for path in ["/absolute", "/relative", "../etc/shadow", "/up/etc/shadow"] {
        // Links are shown, not followed, when read.
        assert_ne!(bed.read(path).unwrap_or_default(), SECRET, "{path}");
    }
    for path in ["/absolute", "/relative", "/dir/etc/shadow", "/dir/etc/new"] {
        bed.write(path, "escaped", &file).unwrap_err();
    }
    bed.tree
        .make_dir(Path::new("/dir/new"), &push(Kind::Directory))
        .unwrap_err();
    bed.tree
        .remove(Path::new("/dir/etc/shadow"), true)
        .unwrap_err();
    // Inside the guest, dots stay in the guest.
    bed.write("../../up/../etc/shadow", "mine", &file).unwrap();
    assert_eq!(
        fs::read_to_string(bed.inside("etc/shadow")).unwrap(),
        "mine"
    );
    bed.secret_is_safe();
}

#[test]
fn a_link_swapped_in_a_loop_leads_nowhere_else() {
    let bed = Bed::new();
    let stop = AtomicBool::new(false);
    let (name, host) = (bed.inside("name"), bed.base.path().join("etc/shadow"));
    let (dir, outside) = (bed.inside("dir"), bed.base.path().join("etc"));
    let file = push(Kind::File);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let spare = bed.inside("spare");
            while !stop.load(Ordering::Relaxed) {
                fs::write(&spare, "").unwrap();
                fs::rename(&spare, &name).unwrap();
                symlink(&host, &spare).unwrap();
                fs::rename(&spare, &name).unwrap();
                drop(fs::remove_file(&name));
                drop(fs::create_dir(&dir));
                drop(fs::remove_dir_all(&dir));
                // What was pushed into it may be in the way.
                drop(symlink(&outside, &dir));
                drop(fs::remove_file(&dir));
            }
        });
        let until = Instant::now() + Duration::from_secs(1);
        let mut written = 0;
        while Instant::now() < until {
            written += u32::from(bed.write("/name", "pushed", &file).is_ok());
            drop(bed.write("/dir/shadow", "pushed", &file));
            drop(
                bed.tree
                    .make_dir(Path::new("/dir/more"), &push(Kind::Directory)),
            );
            drop(bed.tree.remove(Path::new("/dir/shadow"), true));
            assert_ne!(bed.read("/name").unwrap_or_default(), SECRET);
            assert_ne!(bed.read("/dir/shadow").unwrap_or_default(), SECRET);
        }
        stop.store(true, Ordering::Relaxed);
        assert!(written > 0);
    });
    bed.secret_is_safe();
}

#[test]
fn fifos_and_devices_are_refused_at_once() {
    let bed = Bed::new();
    let mode = nix::sys::stat::Mode::from_bits_truncate(0o666);
    nix::unistd::mkfifo(&bed.inside("fifo"), mode).unwrap();
    let begin = Instant::now();
    assert!(matches!(bed.read("/fifo"), Err(Error::Invalid(_))));
    let file = push(Kind::File);
    assert!(matches!(
        bed.write("/fifo", "", &file),
        Err(Error::Invalid(_))
    ));
    assert!(begin.elapsed() < Duration::from_secs(1));
    let tree = Tree {
        root: open_dir(Path::new("/")).unwrap(),
        owners: Owners::AsTheyAre,
    };
    assert!(matches!(
        tree.read(Path::new("/dev/null")),
        Err(Error::Invalid(_))
    ));
}

#[test]
fn files_of_the_kernel_are_refused() {
    let tree = Tree {
        root: open_dir(Path::new("/")).unwrap(),
        owners: Owners::AsTheyAre,
    };
    let file = push(Kind::File);
    for path in [
        "/proc/self/environ",
        "/proc/1/root/etc/passwd",
        "/proc/self/exe",
    ] {
        assert!(tree.read(Path::new(path)).is_err(), "{path}");
    }
    for path in ["/proc/sys/kernel/core_pattern", "/sys/kernel/new"] {
        assert!(tree.write(Path::new(path), &file).is_err(), "{path}");
    }
}

#[test]
fn a_link_to_nothing_is_named() {
    let bed = Bed::new();
    symlink("/run/resolv.conf", bed.inside("etc/resolv.conf")).unwrap();
    let error = bed
        .write("/etc/resolv.conf", "", &push(Kind::File))
        .unwrap_err();
    assert!(
        error.to_string().contains("symbolic link to nothing"),
        "{error}"
    );
}

#[test]
fn owners_are_those_that_the_guest_sees() {
    if !is_root() {
        return;
    }
    let mut bed = Bed::new();
    let map = "0 1000000 65536\n";
    bed.tree.owners = Owners::parse(map, map).unwrap();
    let mut file = push(Kind::File);
    file.attributes.uid = Some(33);
    file.attributes.gid = Some(65_536);
    assert!(bed.write("/file", "", &file).is_err());
    file.attributes.gid = Some(34);
    bed.write("/file", "", &file).unwrap();
    bed.tree.make_dir(Path::new("/dir"), &file).unwrap();
    bed.tree.make_link(Path::new("/link"), b"x", &file).unwrap();
    for name in ["file", "dir", "link"] {
        let facts = bed.tree.find(Path::new(name)).unwrap().facts;
        assert_eq!((facts.uid, facts.gid), (33, 34), "{name}");
        let host = fs::symlink_metadata(bed.inside(name)).unwrap();
        assert_eq!((host.uid(), host.gid()), (1_000_033, 1_000_034), "{name}");
    }
    let facts = bed.tree.find(Path::new("etc")).unwrap().facts;
    assert_eq!(facts.uid, 65_534);
}

#[test]
fn a_stopped_overlay_is_written_without_being_mounted_anywhere() {
    if !is_root() {
        return;
    }
    let base = tempfile::tempdir().unwrap();
    let [image, upper, work] = ["image", "upper", "work"].map(|name| {
        let path = base.path().join(name);
        fs::create_dir(&path).unwrap();
        path
    });
    fs::write(image.join("file"), "of the image").unwrap();
    let source = RootSource::Overlay {
        lower: vec![image.clone()],
        upper: upper.clone(),
        work,
    };
    let tree = Tree {
        root: rlxc_sys::mount::assemble(&source, None).unwrap(),
        owners: Owners::AsTheyAre,
    };
    let path = Path::new("../../file");
    assert_eq!(text(tree.read(path).unwrap().1), "of the image");
    let (mut file, _) = tree.write(path, &push(Kind::File)).unwrap();
    file.write_all(b"changed").unwrap();
    drop((file, tree));
    assert_eq!(
        fs::read_to_string(image.join("file")).unwrap(),
        "of the image"
    );
    assert_eq!(fs::read_to_string(upper.join("file")).unwrap(), "changed");
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&base.path().display().to_string()));
}
