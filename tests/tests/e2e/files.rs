//! Files of instances: push and pull, SFTP, mounts.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use rlxc_tests::process::{Output, Run, eventually};
use rlxc_tests::{Daemon, require};

use super::daemon_with_c1;

/// Runs OpenSSH's client against an instance, with a batch of its commands.
fn sftp(daemon: &Daemon, batch: &str) -> Output {
    let rlxc = rlxc_tests::binaries().join("rlxc");
    let file = daemon.dir().with_file_name("batch");
    std::fs::write(&file, batch).unwrap();
    let server = format!("{} file sftp c1", rlxc.display());
    let line = [
        "env".to_owned(),
        format!("RLXC_DIR={}", daemon.dir().display()),
        "sftp".to_owned(),
        "-b".to_owned(),
        file.display().to_string(),
        "-D".to_owned(),
        server,
    ];
    daemon.world().enter(line).output().unwrap()
}

fn scratch(daemon: &Daemon, name: &str) -> std::path::PathBuf {
    daemon.dir().with_file_name(name)
}

#[test]
fn openssh_speaks_with_a_running_and_with_a_stopped_instance() {
    require!(root);
    require!(tool "sftp");
    let (daemon, before) = daemon_with_c1();
    let cli = daemon.cli();
    let local = scratch(&daemon, "local");
    let mut noise = Vec::new();
    for n in 0..1_000_000_u32 {
        noise.extend(n.wrapping_mul(2_654_435_761).to_le_bytes());
    }
    std::fs::write(&local, &noise).unwrap();
    std::fs::set_permissions(&local, PermissionsExt::from_mode(0o640)).unwrap();
    for _state in ["running", "stopped"] {
        let back = scratch(&daemon, "back");
        let output = sftp(
            &daemon,
            &format!(
                "pwd\nmkdir /srv\nmkdir /srv/a\nput -p {local} /srv/a/file\nln -s file /srv/a/link\n\
                 rename /srv/a/file /srv/a/file2\nrename /srv/a/file2 /srv/a/file\nget /srv/a/link {back}\n\
                 chown 1000 /srv/a/file\nchgrp 1000 /srv/a/file\nls -ln /srv/a\nln /srv/a/file /srv/a/hard\n\
                 rm /srv/a/hard\ndf /srv\nls -l /dev\n",
                local = local.display(),
                back = back.display()
            ),
        );
        assert_eq!(output.code, 0, "{output}");
        assert!(output.stdout.contains("/srv/a/"), "{output}");
        assert!(std::fs::read(&back).unwrap() == noise, "as it went");
        let running = cli.status("c1").as_deref() == Some("Running");
        if running {
            let facts = cli.exec("c1", &["stat", "-c", "%u %g %a %s", "/srv/a/file"]);
            assert_eq!(facts, "1000 1000 640 4000000");
            assert_eq!(cli.exec("c1", &["readlink", "/srv/a/link"]), "file");
        }
        let output = sftp(
            &daemon,
            "rm /srv/a/link\nrm /srv/a/file\nrmdir /srv/a\nrmdir /srv\n",
        );
        assert_eq!(output.code, 0, "{output}");
        if running {
            cli.ok(["stop", "-f", "c1"]);
        }
    }
    // What was idle meanwhile keeps nobody from starting it.
    cli.ok(["start", "c1"]);
    cli.ok(["delete", "-f", "c1"]);
    before.assert_none(&daemon);
}

#[test]
fn nothing_of_the_host_is_reached_by_sftp() {
    require!(root);
    require!(tool "sftp");
    let (daemon, _) = daemon_with_c1();
    let cli = daemon.cli();
    let secret = scratch(&daemon, "secret");
    std::fs::write(&secret, "of the host").unwrap();
    let path = secret.display().to_string();
    cli.exec("c1", &["ln", "-s", &path, "/root/way"]);
    cli.exec(
        "c1",
        &["ln", "-s", "/proc/sys/kernel/core_pattern", "/root/kernel"],
    );
    let target = scratch(&daemon, "target");
    for command in [
        format!("get /root/way {}", target.display()),
        format!("get /../../..{path} {}", target.display()),
        format!("put {path} /root/way"),
        format!("get /root/kernel {}", target.display()),
        format!("put {path} /root/kernel"),
        "rmdir /proc".to_owned(),
        "get /no/such/file".to_owned(),
    ] {
        let output = sftp(&daemon, &format!("{command}\n"));
        assert_ne!(output.code, 0, "{command}: {output}");
    }
    assert!(!target.exists());
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "of the host");
}

#[test]
fn a_directory_is_mounted_by_sshfs() {
    require!(root);
    require!(tool "sshfs");
    if !Path::new("/dev/fuse").exists() {
        return;
    }
    let (daemon, _) = daemon_with_c1();
    let cli = daemon.cli();
    let target = scratch(&daemon, "mounted");
    std::fs::create_dir(&target).unwrap();
    let run = cli.command(["file", "mount", "c1/root", &target.display().to_string()]);
    let mut child = run.command().spawn().unwrap();
    let inside = |script: String| {
        daemon
            .world()
            .enter(["sh".to_owned(), "-c".to_owned(), script])
    };
    let path = target.display().to_string();
    eventually("it is mounted", Duration::from_secs(20), || {
        mountpoint(&inside(format!("mountpoint -q {path}")))
    });
    inside(format!("echo by the mount > {path}/new"))
        .ok()
        .unwrap();
    assert_eq!(cli.exec("c1", &["cat", "/root/new"]), "by the mount");
    inside(format!("umount {path}")).ok().unwrap();
    assert!(child.wait().unwrap().success(), "it ends with the mount");
}

fn mountpoint(run: &Run) -> bool {
    run.output().is_ok_and(|output| output.code == 0)
}

#[test]
fn files_go_in_and_out_with_owner_and_mode() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let cli = daemon.cli();
    let local = scratch(&daemon, "tree");
    std::fs::create_dir_all(local.join("sub")).unwrap();
    std::fs::write(local.join("sub/file"), "text").unwrap();
    std::os::unix::fs::symlink("file", local.join("sub/link")).unwrap();
    let path = local.display().to_string();
    cli.ok(["file", "push", "-r", "-p", &path, "c1/srv/x/"]);
    assert_eq!(cli.exec("c1", &["cat", "/srv/x/tree/sub/link"]), "text");
    let file = local.join("sub/file").display().to_string();
    let owned = ["--uid", "1000", "--gid", "1000", "--mode", "0600"];
    let push = ["file", "push", &file, "c1/srv/owned"];
    cli.ok(push.iter().chain(&owned).copied());
    let stat = ["stat", "-c", "%u %g %a", "/srv/owned"];
    assert_eq!(cli.exec("c1", &stat), "1000 1000 600");
    // Owner and mode are a new file's only.
    cli.ok(push);
    assert_eq!(cli.exec("c1", &stat), "1000 1000 600");
    let back = scratch(&daemon, "back");
    std::fs::create_dir(&back).unwrap();
    cli.ok([
        "file",
        "pull",
        "-r",
        "c1/srv/x",
        &back.display().to_string(),
    ]);
    let text = std::fs::read_to_string(back.join("x/tree/sub/link")).unwrap();
    assert_eq!(text, "text");
    cli.fails(["file", "delete", "c1/srv/x"]);
    // What is mounted there is not taken away under the guest's feet.
    cli.fails(["file", "delete", "c1/proc"]);
    cli.exec("c1", &["test", "-d", "/proc/self"]);
    cli.ok(["file", "delete", "-f", "c1/srv/x"]);
    cli.exec("c1", &["test", "!", "-e", "/srv/x"]);
}
