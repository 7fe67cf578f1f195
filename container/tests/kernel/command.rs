//! Commands, terminals and the console of a real container.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::bed::{Bed, Init, ask, cannot_run, command, eventually, exec, receive, shell};
use rlxc_container::protocol::{self, ExecRequest, Reply, Request, TerminalSize};

const IDLE: Init = Init::Script("echo booted; while read line; do echo \"got $line\"; done");
const ENOENT: i32 = 2;
const EACCES: i32 = 13;

#[test]
fn environment_user_directory_and_status_are_as_asked() {
    if cannot_run() {
        return;
    }
    let bed = Bed::new("exec", &IDLE);
    let running = bed.start().unwrap();
    let mut request = command(&[
        "sh",
        "-c",
        "id -u; id -g; echo $COLOR; readlink /proc/self/cwd",
    ]);
    request.env.push(("COLOR".to_owned(), "blue".to_owned()));
    (request.user, request.group) = (1000, 100);
    request.cwd = "/tmp".to_owned();
    assert_eq!(
        exec(&bed, &request),
        ("1000\n100\nblue\n/tmp\n".to_owned(), 0)
    );
    request.cwd = "/no/such/directory".to_owned();
    assert_eq!(exec(&bed, &request).0, "1000\n100\nblue\n/\n");
    assert_eq!(shell(&bed, "exit 42").1, 42);
    assert_eq!(shell(&bed, "kill -9 $$").1, 137);
    drop(running);
}

#[test]
fn a_command_that_is_missing_is_told_from_one_that_is_no_program() {
    if cannot_run() {
        return;
    }
    let bed = Bed::new("missing", &IDLE);
    let running = bed.start().unwrap();
    assert_eq!(exec(&bed, &command(&["no-such-command"])).1, -ENOENT);
    assert_eq!(exec(&bed, &command(&["/no/such/command"])).1, -ENOENT);
    assert_eq!(exec(&bed, &command(&["/etc"])).1, -EACCES);
    assert!(exec(&bed, &ExecRequest::default()).1 < 0);
    // The answer comes before the monitor has buried who tried.
    eventually("nothing of them is left", || {
        let answer = ask(&bed.connect(), &Request::Status).0;
        matches!(answer, Reply::Status { commands: 0, .. })
    });
    drop(running);
}

#[test]
fn nothing_of_the_host_leaks_into_a_container() {
    if cannot_run() {
        return;
    }
    let bed = Bed::new("leak", &IDLE);
    let running = bed.start().unwrap();
    // 3 is the directory that `ls` reads.
    assert_eq!(shell(&bed, "ls /proc/self/fd").0, "0\n1\n2\n3\n");
    let (init, _) = shell(&bed, "ls /proc/1/fd | head -20");
    assert!(!init.contains("3\n"), "{init}");
    assert_eq!(
        shell(&bed, "cat /proc/self/cgroup | grep ^0:").0,
        "0::/.lxc\n"
    );
    assert_eq!(shell(&bed, "cat /proc/1/cgroup | grep ^0:").0, "0::/\n");
    assert_eq!(
        shell(&bed, "grep -c NoNewPrivs:.0 /proc/self/status").0,
        "1\n"
    );
    assert_eq!(
        shell(&bed, "grep Seccomp: /proc/self/status").0,
        "Seccomp:\t2\n"
    );
    assert_eq!(
        shell(&bed, "grep SigBlk /proc/self/status").0,
        "SigBlk:\t0000000000000000\n"
    );
    // The capabilities that are dropped: sys_module (16), sys_rawio (17), sys_time (25), mac_admin (33).
    let (bounding, _) = shell(&bed, "grep CapBnd /proc/self/status");
    let bounding = u64::from_str_radix(bounding.trim().rsplit('\t').next().unwrap(), 16).unwrap();
    for capability in [16, 17, 25, 33] {
        assert_eq!(bounding & (1 << capability), 0, "capability {capability}");
    }
    assert_ne!(shell(&bed, "mknod /tmp/kmsg c 1 11").1, 0);
    let (listing, _) = shell(&bed, "ls /sys/kernel/debug /sys/kernel/tracing");
    assert!(!listing.contains("events"), "{listing}");
    drop(running);
}

#[test]
fn streams_are_binary_and_ends_are_seen() {
    if cannot_run() {
        return;
    }
    let bed = Bed::new("streams", &IDLE);
    let running = bed.start().unwrap();
    let socket = bed.connect();
    let (input, to) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let (from, output) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let stdio = [input.as_fd(), output.as_fd(), output.as_fd()];
    let request = Request::Exec(command(&["cat"]));
    protocol::send(socket.as_fd(), &request, &stdio).unwrap();
    assert!(matches!(receive(&socket).0, Reply::ExecStarted { .. }));
    drop((input, output));
    let bytes: Vec<u8> = (0..=255).collect();
    File::from(to).write_all(&bytes).unwrap();
    let mut back = Vec::new();
    File::from(from).read_to_end(&mut back).unwrap();
    assert_eq!(back, bytes);
    assert_eq!(receive(&socket).0, Reply::ExecExited { status: 0 });
    drop(running);
}

fn start_terminal(bed: &Bed, script: &str) -> (OwnedFd, File) {
    let socket = bed.connect();
    let mut request = command(&["sh", "-c", script]);
    request.terminal = Some(TerminalSize {
        width: 100,
        height: 30,
    });
    let (reply, mut fds) = ask(&socket, &Request::Exec(request));
    assert!(matches!(reply, Reply::ExecStarted { .. }), "{reply:?}");
    (socket, File::from(fds.remove(0)))
}

#[test]
fn a_terminal_has_size_and_control_and_is_resized() {
    if cannot_run() {
        return;
    }
    let bed = Bed::new("terminal", &IDLE);
    let running = bed.start().unwrap();
    let (socket, mut master) = start_terminal(&bed, "tty; stty size; read x; stty size; echo done");
    let mut text = String::new();
    read_until(&mut master, &mut text, "30 100");
    assert!(text.starts_with("/dev/pts/"), "{text}");
    let resize = Request::ExecResize {
        width: 132,
        height: 43,
    };
    protocol::send(socket.as_fd(), &resize, &[]).unwrap();
    // Requests are read in the order of their connections' readiness: make sure this one was.
    std::thread::sleep(Duration::from_millis(20));
    master.write_all(b"\n").unwrap();
    read_until(&mut master, &mut text, "done");
    assert!(text.contains("43 132"), "{text}");
    assert_eq!(receive(&socket).0, Reply::ExecExited { status: 0 });
    // Control-C reaches the command: the terminal controls its session.
    let (socket, mut master) = start_terminal(&bed, "echo ready; sleep 60");
    read_until(&mut master, &mut String::new(), "ready");
    master.write_all(b"\x03").unwrap();
    assert_eq!(receive(&socket).0, Reply::ExecExited { status: 130 });
    // A daemon that dies hangs the terminal up.
    let (socket, master) = start_terminal(&bed, "sleep 60");
    drop(master);
    assert_eq!(receive(&socket).0, Reply::ExecExited { status: 129 });
    drop(running);
}

fn read_until(file: &mut File, text: &mut String, end: &str) {
    let mut buffer = [0; 256];
    while !text.contains(end) {
        let length = file.read(&mut buffer).unwrap();
        text.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
}

#[test]
fn a_command_is_signalled_and_outlives_its_connection() {
    if cannot_run() {
        return;
    }
    let bed = Bed::new("signals", &IDLE);
    let running = bed.start().unwrap();
    let null = File::open("/dev/null").unwrap();
    let start = |argv: &[&str]| {
        let socket = bed.connect();
        let stdio = [null.as_fd(), null.as_fd(), null.as_fd()];
        protocol::send(socket.as_fd(), &Request::Exec(command(argv)), &stdio).unwrap();
        assert!(matches!(receive(&socket).0, Reply::ExecStarted { .. }));
        socket
    };
    let socket = start(&["sleep", "60"]);
    let kill = Request::ExecSignal { signal: 15 };
    protocol::send(socket.as_fd(), &kill, &[]).unwrap();
    assert_eq!(receive(&socket).0, Reply::ExecExited { status: 143 });
    drop(start(&["sh", "-c", "sleep 0.2; echo > /tmp/outlived"]));
    eventually("the command's work", || {
        shell(&bed, "stat /tmp/outlived").1 == 0
    });
    drop(running);
}

#[test]
fn the_console_is_kept_attached_and_forgotten() {
    if cannot_run() {
        return;
    }
    let bed = Bed::new("console", &IDLE);
    let running = bed.start().unwrap();
    let log = |clear| {
        let (reply, fds) = ask(&bed.connect(), &Request::ConsoleLog { clear });
        assert!(matches!(reply, Reply::ConsoleLog { .. }), "{reply:?}");
        let mut text = String::new();
        File::from(fds.into_iter().next().unwrap())
            .read_to_string(&mut text)
            .unwrap();
        text
    };
    eventually("the first line", || log(false).contains("booted"));
    log(true);
    assert_eq!(log(false), "");
    let (reply, fds) = ask(&bed.connect(), &Request::ConsoleAttach);
    assert_eq!(reply, Reply::Console);
    let mut stream = UnixStream::from(fds.into_iter().next().unwrap());
    stream.write_all(b"hello\n").unwrap();
    let mut text = String::new();
    let mut buffer = [0; 64];
    while !text.contains("got hello") {
        let length = stream.read(&mut buffer).unwrap();
        text.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    // Whoever comes next takes it.
    let (_, fds) = ask(&bed.connect(), &Request::ConsoleAttach);
    assert_eq!(stream.read(&mut buffer).unwrap(), 0);
    drop(fds);
    let kept = std::fs::read_to_string(&bed.spec.console_log).unwrap();
    assert!(
        kept.contains("booted") && kept.contains("got hello"),
        "{kept}"
    );
    drop(running);
}
