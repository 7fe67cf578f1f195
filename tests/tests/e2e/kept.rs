//! Those who are kept to projects: a restricted client over TLS, and users of the host on the socket for users.

use std::fmt::Write as _;
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rlxc_tests::cli::complaint;
use rlxc_tests::process::{Output, Run};
use rlxc_tests::{Daemon, World, require};

use super::projects::furnish;

/// Somebody with a command line of their own.
struct Member<'a> {
    world: &'a World,
    before: Vec<String>,
}

impl Member<'_> {
    fn command(&self, args: &[&str]) -> Run {
        let args = args.iter().map(|&arg| arg.to_owned());
        self.world.enter(self.before.iter().cloned().chain(args))
    }

    #[track_caller]
    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    #[track_caller]
    fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.code == 0, "{args:?}: {output}");
        output.stdout.trim_end().to_owned()
    }

    /// It is refused, and these words say why.
    #[track_caller]
    fn refused(&self, args: &[&str], words: &str) {
        let text = complaint(&self.run(args));
        assert!(text.contains(words), "{args:?}: {text}");
    }
}

/// A daemon with a restricted project `team`, and a client over TLS that is kept to it.
#[track_caller]
fn restricted(daemon: &Daemon) -> Member<'_> {
    let cli = daemon.cli();
    rlxc_tests::image::import_busybox(daemon);
    cli.ok(["config", "set", "core.https_address=127.0.0.1:8443"]);
    let keys = [
        "features.images=false",
        "restricted=true",
        "restricted.snapshots=allow",
    ];
    cli.ok([&["project", "create", "team"][..], &keys].concat());
    furnish(daemon, "team");
    let add = ["-q", "config", "trust", "add", "ci", "--restricted"];
    let token = cli.ok([&add[..], &["--projects", "team"]].concat());
    let conf = daemon.dir().with_file_name("ci");
    let before = [
        "env".to_owned(),
        "RLXC_DIR=/nonexistent".to_owned(),
        format!("RLXC_CONF={}", conf.display()),
        rlxc_tests::binaries().join("rlxc").display().to_string(),
    ];
    let member = Member {
        world: daemon.world(),
        before: before.into(),
    };
    member.ok(&["remote", "add", "box", &token]);
    member.ok(&["remote", "switch", "box"]);
    member
}

#[test]
fn a_restricted_remote_works_in_its_project_and_sees_no_other() {
    require!(root);
    let daemon = Daemon::initialized();
    let member = restricted(&daemon);
    let cli = daemon.cli();
    cli.ok(["launch", "busybox", "hidden"]);
    assert_eq!(member.ok(&["project", "get-current"]), "team");
    member.refused(&["project", "switch", "default"], "not authorized");
    member.ok(&["launch", "busybox", "c1"]);
    assert_eq!(member.ok(&["exec", "c1", "--", "hostname"]), "c1");
    member.ok(&["snapshot", "create", "c1", "s0"]);
    member.ok(&["profile", "create", "p"]);
    member.ok(&["console", "c1", "--show-log"]);
    assert_eq!(member.ok(&["list", "-c", "n", "-f", "csv"]), "c1");
    let all = ["list", "--all-projects", "-c", "n", "-f", "csv"];
    assert_eq!(member.ok(&all), "team,c1");
    for words in [
        &["exec", "--project", "default", "hidden", "--", "id"][..],
        &["delete", "--project", "default", "-f", "hidden"],
        &["project", "set", "team", "restricted", "false"],
        &["network", "delete", "rlxcbr0"],
        &["image", "delete", "busybox"],
    ] {
        member.refused(words, "not authorized");
    }
    let privileged = ["config", "set", "c1", "security.privileged=true"];
    member.refused(&privileged, "restricted.containers.privilege");
    member.ok(&["delete", "-f", "c1"]);
}

#[test]
fn a_restricted_remote_hears_of_its_project_and_of_no_other() {
    require!(root);
    let daemon = Daemon::initialized();
    let member = restricted(&daemon);
    let cli = daemon.cli();
    cli.ok(["launch", "busybox", "hidden"]);
    let mut monitor = Member {
        world: daemon.world(),
        before: vec!["timeout".to_owned(), "15".to_owned()],
    };
    monitor.before.extend(member.before.iter().cloned());
    let listening = monitor.command(&["monitor", "-f", "json", "--all-projects"]);
    let heard = std::thread::scope(|scope| {
        let listening = scope.spawn(|| listening.output().unwrap());
        std::thread::sleep(Duration::from_secs(3));
        member.ok(&["launch", "busybox", "c1"]);
        cli.ok(["restart", "-f", "hidden"]);
        listening.join().unwrap().stdout
    });
    assert!(heard.contains("instance-created"), "{heard}");
    assert!(!heard.contains("hidden"), "{heard}");
}

const USERS: [u32; 2] = [5001, 5002];
const GROUP: u32 = 5999;

fn home(daemon: &Daemon, uid: u32) -> PathBuf {
    daemon.dir().with_file_name(format!("home-{uid}"))
}

/// A daemon on a host with two users in the group that may use the socket for users.
#[track_caller]
fn with_users() -> Daemon {
    let mut daemon = Daemon::prepared(rlxc_tests::world::Uplink::Isolated);
    // The first: this host may have such a group itself.
    let groups = std::fs::read_to_string("/etc/group").unwrap();
    let groups = format!("rlxc-user:x:{GROUP}:\n{groups}");
    daemon.world().replace(Path::new("/etc/group"), &groups);
    let mut users = std::fs::read_to_string("/etc/passwd").unwrap();
    for uid in USERS {
        let home = home(&daemon, uid);
        std::fs::create_dir(&home).unwrap();
        chown(&home, Some(uid), Some(GROUP)).unwrap();
        writeln!(users, "u{uid}:x:{uid}:{GROUP}::{}:/bin/sh", home.display()).unwrap();
    }
    daemon.world().replace(Path::new("/etc/passwd"), &users);
    daemon.start();
    daemon.cli().ok(["admin", "init", "--auto"]);
    // Users may have no way into the directory of the build.
    let rlxc = daemon.dir().with_file_name("rlxc-for-users");
    std::fs::copy(rlxc_tests::binaries().join("rlxc"), rlxc).unwrap();
    daemon
}

fn user(daemon: &Daemon, uid: u32) -> Member<'_> {
    let home = home(daemon, uid);
    let (uid, group) = (uid.to_string(), GROUP.to_string());
    let rlxc = daemon.dir().with_file_name("rlxc-for-users");
    let before = [
        &[
            "setpriv",
            "--reuid",
            &uid,
            "--regid",
            &group,
            "--clear-groups",
            "env",
        ][..],
        &[
            &format!("HOME={}", home.display()),
            &format!("RLXC_DIR={}", daemon.dir().display()),
            &format!("RLXC_CONF={}", home.display()),
            &rlxc.display().to_string(),
        ],
    ];
    Member {
        world: daemon.world(),
        before: before.concat().into_iter().map(str::to_owned).collect(),
    }
}

#[test]
fn two_users_of_the_host_cant_see_each_other() {
    require!(root);
    let daemon = with_users();
    let archive = daemon.dir().with_file_name("busybox.tar");
    std::fs::write(&archive, rlxc_tests::image::busybox().unwrap()).unwrap();
    for uid in USERS {
        let user = user(&daemon, uid);
        assert_eq!(user.ok(&["project", "get-current"]), format!("user-{uid}"));
        let file = archive.to_string_lossy();
        user.ok(&["image", "import", &file, "--alias", "mine"]);
        user.ok(&["launch", "mine", "c1"]);
        let marked = format!("echo {uid} > /root/whose");
        user.ok(&["exec", "c1", "--", "sh", "-c", &marked]);
    }
    let all = ["list", "--all-projects", "-c", "n", "-f", "csv"];
    for (uid, other) in [(5001, "user-5002"), (5002, "user-5001")] {
        let user = user(&daemon, uid);
        let whose = user.ok(&["exec", "c1", "--", "cat", "/root/whose"]);
        assert_eq!(whose, uid.to_string());
        assert_eq!(user.ok(&all), format!("user-{uid},c1"));
        let projects = user.ok(&["project", "list", "-f", "csv"]);
        let leak = projects.contains(other) || projects.contains("default");
        assert!(!leak, "{projects}");
        for words in [
            &["list", "--project", other][..],
            &["exec", "--project", other, "c1", "--", "id"],
            &["list", "--project", "default"],
            &["config", "set", "core.https_address=:1"],
        ] {
            user.refused(words, "not authorized");
        }
    }
    links_lead_nowhere(&daemon);
    assert_eq!(daemon.cli().ok(all), "user-5001,c1\nuser-5002,c1");
    for uid in USERS {
        user(&daemon, uid).ok(&["delete", "-f", "c1"]);
    }
}

/// What users may give their instances is below their home, also when links say otherwise.
#[track_caller]
fn links_lead_nowhere(daemon: &Daemon) {
    let (user, home) = (user(daemon, 5001), home(daemon, 5001));
    std::fs::create_dir(home.join("data")).unwrap();
    std::fs::write(home.join("data/note"), "mine").unwrap();
    symlink("data", home.join("inside")).unwrap();
    symlink("/etc", home.join("outside")).unwrap();
    user.ok(&["stop", "-f", "c1"]);
    let add = |name: &str, source: &Path| -> Output {
        let source = format!("source={}", source.display());
        let words = ["config", "device", "add", "c1", name, "disk"];
        user.run(&[&words[..], &[&source, "path=/given"]].concat())
    };
    let text = complaint(&add("host", Path::new("/")));
    assert!(text.contains("restricted.devices.disk.paths"), "{text}");
    assert_eq!(add("outside", &home.join("outside")).code, 0);
    user.refused(&["start", "c1"], "for mounting");
    user.ok(&["config", "device", "remove", "c1", "outside"]);
    assert_eq!(add("inside", &home.join("inside")).code, 0);
    user.ok(&["start", "c1"]);
    assert_eq!(user.ok(&["exec", "c1", "--", "cat", "/given/note"]), "mine");
}
