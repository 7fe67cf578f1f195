//! The monitor against the real kernel: launches, ends, failures, and nothing left of any of them.

use std::fs;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::bed::{Bed, Init, ask, cannot_run, eventually, exec, hello, shell};
use rlxc_container::exit::{ExitCause, ExitRecord};
use rlxc_container::protocol::{Reply, Request};
use rlxc_container::spec::MountSpec;
use rlxc_sys::pidfd;
use rlxc_sys::rootfs::RootSource;

const IDLE: Init = Init::Script("trap 'exit 7' TERM; echo booted; while :; do sleep 0.1; done");

fn is_alive(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn busybox_boots_and_powers_off() {
    if cannot_run() {
        return;
    }
    let bed = Bed::new("boot", &Init::BusyBox);
    let running = bed.start().unwrap();
    assert_eq!(shell(&bed, "echo hello; exit 3"), ("hello\n".to_owned(), 3));
    let (name, _) = shell(
        &bed,
        "hostname; cat /proc/1/environ | grep -c container=lxc",
    );
    assert_eq!(name, "boot\n1\n");
    let reply = ask(&bed.connect(), &Request::Shutdown).0;
    assert_eq!(reply, Reply::Done);
    assert_eq!(running.exited(), ExitCause::Halt);
    let record = ExitRecord::read(&bed.spec.runtime_dir).unwrap().unwrap();
    assert_eq!(record.cause, ExitCause::Halt);
    bed.assert_nothing_left();
}

#[test]
fn tells_reboot_exit_and_signal_apart() {
    if cannot_run() {
        return;
    }
    let bed = Bed::new("ends", &IDLE);
    let running = bed.start().unwrap();
    drop(shell(&bed, "reboot -f"));
    assert_eq!(running.exited(), ExitCause::Reboot);
    bed.assert_nothing_left();

    let running = bed.start().unwrap();
    // A signal that comes before init has its handler is lost.
    eventually("the handler", || {
        fs::read_to_string(&bed.spec.console_log)
            .is_ok_and(|log| log.matches("booted").count() == 2)
    });
    let reply = ask(&bed.connect(), &Request::Shutdown).0;
    assert_eq!(reply, Reply::Done);
    assert_eq!(running.exited(), ExitCause::Exit { code: 7 });
    bed.assert_nothing_left();

    let running = bed.start().unwrap();
    let began = Instant::now();
    pidfd::send_signal(running.pidfd.as_fd(), 9).unwrap();
    assert_eq!(running.exited(), ExitCause::Signal { signal: 9 });
    assert!(began.elapsed() < Duration::from_secs(1));
    bed.assert_nothing_left();
}

#[test]
fn a_daemon_that_hangs_up_before_the_start_leaves_nothing() {
    if cannot_run() {
        return;
    }
    let bed = Bed::new("half", &IDLE);
    let prepared = bed.prepare().unwrap();
    assert_eq!(prepared.fds.len(), 3, "pidfd, netns, userns");
    let pid = prepared.pid;
    assert!(is_alive(pid));
    drop(prepared);
    eventually("the end of the clone", || !is_alive(pid));
    eventually("the removal of its cgroup", || {
        !bed.cgroup().path().exists()
    });
    // The listener's socket file may lie there: the next start replaces it.
    bed.start().unwrap();
}

#[test]
fn runs_on_without_a_daemon_and_is_found_again() {
    if cannot_run() {
        return;
    }
    let bed = Bed::new("alone", &IDLE);
    let mut running = bed.start().unwrap();
    // All that the daemon had is gone at once, as if by SIGKILL.
    running.control = bed.connect();
    let again = bed.connect();
    assert_eq!(hello(&again).len(), 3);
    assert_eq!(shell(&bed, "echo still here").0, "still here\n");
    drop(running);
}

#[test]
fn the_end_is_recorded_when_nobody_listens() {
    if cannot_run() {
        return;
    }
    let bed = Bed::new("unheard", &IDLE);
    // Dropping it closes its connection and kills init.
    drop(bed.start().unwrap());
    eventually("the record", || {
        ExitRecord::read(&bed.spec.runtime_dir).unwrap().is_some()
    });
    let record = ExitRecord::read(&bed.spec.runtime_dir).unwrap().unwrap();
    assert_eq!(record.cause, ExitCause::Signal { signal: 9 });
    eventually("clean-up", || {
        !bed.spec.runtime_dir.join("monitor.sock").exists()
    });
    bed.assert_nothing_left();
    // The next start begins with a clean sheet.
    let running = bed.start().unwrap();
    assert_eq!(ExitRecord::read(&bed.spec.runtime_dir).unwrap(), None);
    drop(running);
}

#[test]
fn a_monitor_that_is_killed_takes_the_container_along() {
    if cannot_run() {
        return;
    }
    let bed = Bed::new("orphan", &IDLE);
    let running = bed.start().unwrap();
    let stat = fs::read_to_string(format!("/proc/{}/status", running.init_pid)).unwrap();
    let parent = stat.lines().find_map(|line| line.strip_prefix("PPid:"));
    let monitor = pidfd::open(parent.unwrap().trim().parse().unwrap()).unwrap();
    pidfd::send_signal(monitor.as_fd(), 9).unwrap();
    eventually("the end of init", || {
        pidfd::has_ended(running.pidfd.as_fd())
    });
    // What a killed monitor leaves does not keep the next start from working.
    let running = bed.start().unwrap();
    assert_eq!(shell(&bed, "echo back").0, "back\n");
    drop(running);
}

#[test]
fn a_failed_start_names_its_phase_and_leaves_nothing() {
    if cannot_run() {
        return;
    }
    let mut bed = Bed::new("failing", &IDLE);
    let good = bed.spec.clone();
    let refused = |phase: &str, detail: &str, bed: &Bed| {
        let failure = bed.start().unwrap_err();
        assert_eq!(failure.phase, phase, "{failure}");
        assert!(failure.detail.contains(detail), "{failure}");
        eventually("clean-up", || !bed.cgroup().path().exists());
    };
    bed.spec.init = vec!["/no/such/init".to_owned()];
    refused("execute init", "/no/such/init", &bed);
    bed.spec = good.clone();
    bed.spec.rootfs = RootSource::Tree {
        path: PathBuf::from("/no/such/tree"),
    };
    refused("root file system", "/no/such/tree", &bed);
    bed.spec = good.clone();
    bed.spec.seccomp.deny = vec!["fly".to_owned()];
    refused("confinement", "`fly` is not a system call", &bed);
    bed.spec = good.clone();
    bed.spec.drop_capabilities = vec!["magic".to_owned()];
    refused("confinement", "magic", &bed);
    bed.spec = good.clone();
    bed.spec.mounts = vec![mount("/no/such/source", "/mnt")];
    refused("mounts", "/no/such/source", &bed);
    bed.spec = good.clone();
    bed.spec.sysctls = vec![("net.no.such".to_owned(), "1".to_owned())];
    refused("kernel", "/proc/sys/net/no/such", &bed);
    bed.spec = good;
    drop(bed.start().unwrap());
}

fn mount(source: &str, target: &str) -> MountSpec {
    MountSpec {
        source: PathBuf::from(source),
        target: PathBuf::from(target),
        readonly: false,
        shift: true,
        recursive: false,
        optional: false,
        file: false,
        beneath: None,
        propagation: String::new(),
        options: String::new(),
    }
}

#[test]
fn mounts_show_what_they_should() {
    if cannot_run() {
        return;
    }
    let mut bed = Bed::new("mounts", &IDLE);
    let shared = bed.path().join("shared");
    fs::create_dir(&shared).unwrap();
    fs::write(shared.join("file"), "content").unwrap();
    let shared = shared.to_str().unwrap().to_owned();
    bed.spec.mounts = vec![
        mount(&shared, "/srv/shared"),
        MountSpec {
            readonly: true,
            ..mount(&shared, "/srv/readonly")
        },
        mount(&format!("{shared}/file"), "/etc/one-file"),
        MountSpec {
            optional: true,
            ..mount("/no/such/source", "/srv/none")
        },
    ];
    let running = bed.start().unwrap();
    let script = "cat /etc/one-file; stat -c %u /srv/shared/file; echo new > /srv/shared/new; \
                  touch /srv/readonly/x 2>/dev/null || echo readonly; ls /srv";
    let (output, _) = shell(&bed, script);
    assert_eq!(output, "content0\nreadonly\nreadonly\nshared\n");
    assert_eq!(fs::read(bed.path().join("shared/new")).unwrap(), b"new\n");
    // What the host made read-only stays so, whatever the container's root tries.
    let script = "mount -o remount,rw,bind /srv/readonly 2>/dev/null || echo refused; \
                  touch /srv/readonly/y 2>/dev/null || echo readonly; \
                  umount /srv/readonly && mount -o bind /srv/shared /srv/readonly && echo free";
    assert_eq!(shell(&bed, script).0, "refused\nreadonly\nfree\n");
    // On disk the owner is the container's id, whatever range it runs with.
    let stat = rustix::fs::stat(bed.path().join("shared/new")).unwrap();
    assert_eq!(stat.st_uid, 0);
    drop(running);
}

#[test]
fn mounts_come_and_go_while_it_runs() {
    if cannot_run() {
        return;
    }
    let bed = Bed::new("live", &IDLE);
    let shared = bed.path().join("shared");
    fs::create_dir(&shared).unwrap();
    fs::write(shared.join("file"), "content").unwrap();
    let shared = shared.to_str().unwrap().to_owned();
    let running = bed.start().unwrap();
    let socket = bed.connect();
    let add = |order: MountSpec| ask(&socket, &Request::Mount { mount: order }).0;
    let remove = |target: &str| {
        let target = PathBuf::from(target);
        ask(&socket, &Request::Unmount { target }).0
    };
    let orders = [
        mount(&shared, "/srv/shared"),
        MountSpec {
            readonly: true,
            ..mount(&shared, "/srv/readonly")
        },
        mount(&format!("{shared}/file"), "/srv/one-file"),
        MountSpec {
            optional: true,
            ..mount("/no/such/source", "/srv/none")
        },
    ];
    for order in orders {
        assert_eq!(add(order.clone()), Reply::Done, "{order:?}");
        // Twice is no harm.
        assert_eq!(add(order), Reply::Done);
    }
    let script = "cat /srv/one-file; stat -c %u /srv/shared/file; echo new > /srv/shared/new; \
                  touch /srv/readonly/x 2>/dev/null || echo readonly; ls /srv; \
                  mount -o remount,rw,bind /srv/readonly 2>/dev/null || echo refused; \
                  touch /srv/readonly/y 2>/dev/null || echo readonly; \
                  mkdir -p /mnt && mount -t tmpfs none /mnt && echo own > /mnt/file";
    assert_eq!(
        shell(&bed, script).0,
        "content0\nreadonly\none-file\nreadonly\nshared\nrefused\nreadonly\n"
    );
    let stat = rustix::fs::stat(bed.path().join("shared/new")).unwrap();
    assert_eq!(stat.st_uid, 0);
    for target in ["/srv/shared", "/srv/readonly", "/srv/one-file", "/srv/none"] {
        assert_eq!(remove(target), Reply::Done, "{target}");
    }
    // What the container mounted itself is its own.
    assert_eq!(remove("/mnt"), Reply::Done);
    let script = "cat /mnt/file; ls /srv/shared /srv/readonly; cat /srv/one-file; grep -c ' /srv' /proc/mounts";
    assert_eq!(
        shell(&bed, script).0,
        "own\n/srv/readonly:\n\n/srv/shared:\n0\n"
    );
    // A link of the container leads nowhere but into the container.
    shell(&bed, "ln -s /proc/1/root/etc /srv/link");
    assert!(matches!(
        add(mount(&shared, "/srv/link/escape")),
        Reply::Error { .. } | Reply::Done
    ));
    assert!(!std::path::Path::new("/etc/escape").exists());
    drop(running);
}

#[test]
fn a_link_in_the_image_leads_mounts_nowhere() {
    if cannot_run() {
        return;
    }
    let mut bed = Bed::new("links", &IDLE);
    let outside = bed.path().join("outside");
    fs::create_dir(&outside).unwrap();
    std::os::unix::fs::symlink(&outside, bed.path().join("image/srv")).unwrap();
    bed.spec.mounts = vec![mount("/etc/hostname", "/srv/deep/target")];
    // The link is resolved in the container, where its target does not exist.
    let failure = bed.start().unwrap_err();
    assert_eq!(failure.phase, "root file system", "{failure}");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn a_privileged_container_runs_too() {
    if cannot_run() {
        return;
    }
    let mut bed = Bed::new("privileged", &IDLE);
    bed.spec.idmap = None;
    let running = bed.start().unwrap();
    let script = "id -u; touch /proc/sys/kernel/panic 2>/dev/null || echo kept out; \
                  cat /proc/self/uid_map | grep -c 4294967295";
    assert_eq!(shell(&bed, script).0, "0\nkept out\n1\n");
    drop(running);
}

#[test]
fn asks_of_the_future_are_unsupported() {
    if cannot_run() {
        return;
    }
    let bed = Bed::new("future", &IDLE);
    let running = bed.start().unwrap();
    let socket = bed.connect();
    for unknown in ["{\"request\":\"fly\"}", "no json", "{}"] {
        rlxc_sys::packet::send(socket.as_fd(), unknown.as_bytes(), &[]).unwrap();
        assert_eq!(crate::bed::receive(&socket).0, Reply::Unsupported);
    }
    assert!(matches!(
        ask(&socket, &Request::Status).0,
        Reply::Status { commands: 0, .. }
    ));
    let failed = exec(&bed, &crate::bed::command(&["true"]));
    assert_eq!(failed.1, 0);
    drop(running);
}
