//! `rlxc exec`: exit codes, streams, environment, user, directory, signals, terminals.

use std::io::{Read as _, Write as _};

use nix::sys::signal::Signal;
use rlxc_tests::api::{ask, frame};
use rlxc_tests::process::{exit_code, signal};
use rlxc_tests::require;
use rlxc_tests::terminal::Terminal;
use rlxc_tests::world::only_child;

use super::abuse::socket;
use super::daemon_with_c1;

#[test]
fn the_exit_code_is_the_commands() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let cli = daemon.cli();
    for (command, code) in [
        (&["true"][..], 0),
        (&["sh", "-c", "exit 3"], 3),
        (&["sh", "-c", "exit 255"], 255),
        (&["sh", "-c", "kill -TERM $$"], 143),
        (&["sh", "-c", "kill -KILL $$"], 137),
        (&["/etc/passwd"], 126),
        (&["no-such-command"], 127),
    ] {
        let output = cli.run(["exec", "c1", "--"].iter().chain(command).copied());
        assert_eq!(output.code, code, "{output}");
    }
    let output = cli.run(["exec", "c1", "--", "no-such-command"]);
    assert!(
        output.stderr.to_lowercase().contains("not found"),
        "{output}"
    );
}

#[test]
fn streams_are_kept_apart_and_binary_data_comes_through() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let cli = daemon.cli();
    let output = cli.run(["exec", "c1", "--", "sh", "-c", "echo out; echo err >&2"]);
    assert_eq!(
        (output.stdout.as_str(), output.stderr.as_str()),
        ("out\n", "err\n")
    );

    let mut noise = Vec::new();
    for n in 0..3_000_000_u32 {
        noise.push(n.wrapping_mul(2_654_435_761).to_le_bytes()[3]);
    }
    let output = cli.feed(&noise, ["exec", "c1", "--", "cat"]);
    assert!(
        output.bytes == noise,
        "3 MB of binary data come back as they went: {} bytes",
        output.bytes.len()
    );
    let output = cli.feed(b"abc", ["exec", "c1", "--", "wc", "-c"]);
    assert_eq!(output.stdout.trim(), "3", "the end of stdin is told");
    let output = cli.run([
        "exec",
        "c1",
        "--",
        "sh",
        "-c",
        "head -c 200000 /dev/zero; exit 5",
    ]);
    assert_eq!(
        (output.bytes.len(), output.code),
        (200_000, 5),
        "nothing is lost at the end"
    );
}

#[test]
fn environment_user_and_directory_are_as_asked() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let cli = daemon.cli();
    assert_eq!(cli.exec("c1", &["id", "-u"]), "0");
    assert_eq!(
        cli.exec("c1", &["sh", "-c", "echo $HOME $USER; pwd"]),
        "/root root\n/root"
    );
    assert_eq!(
        cli.ok([
            "exec",
            "c1",
            "--env",
            "A=b c",
            "--",
            "sh",
            "-c",
            "echo \"$A\""
        ]),
        "b c"
    );
    let ids = [
        "exec",
        "c1",
        "--user",
        "1000",
        "--group",
        "1000",
        "--cwd",
        "/home/guest",
        "--",
    ];
    assert_eq!(
        cli.ok(ids
            .iter()
            .chain(&["sh", "-c", "id -u; id -g; pwd"])
            .copied()),
        "1000\n1000\n/home/guest"
    );
    assert_eq!(cli.ok(["exec", "c1", "--cwd", "/tmp", "--", "pwd"]), "/tmp");
}

#[test]
fn nothing_of_the_host_is_seen() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let cli = daemon.cli();
    let fds = cli.exec("c1", &["sh", "-c", "ls /proc/self/fd | wc -l"]);
    assert!(
        fds.trim().parse::<u32>().unwrap() <= 4,
        "no descriptors leak into a command: {fds}"
    );
    let init = cli.exec("c1", &["sh", "-c", "ls -l /proc/1/fd"]);
    assert!(
        !init.contains("rlxc") && !init.contains("socket"),
        "none into init: {init}"
    );
    let cgroup = cli.exec("c1", &["cat", "/proc/self/cgroup"]);
    assert!(
        !cgroup.contains(&daemon.prefix()),
        "cgroups are seen from inside: {cgroup}"
    );
    assert_ne!(
        cli.run(["exec", "c1", "--", "mount", "-t", "tmpfs", "x", "/proc/sys"])
            .code,
        1000
    );
    assert_ne!(
        cli.run([
            "exec",
            "c1",
            "--",
            "sh",
            "-c",
            "echo 1 > /proc/sys/vm/drop_caches"
        ])
        .code,
        0
    );
    assert_ne!(cli.run(["exec", "c1", "--", "dmesg", "-c"]).code, 0);
    assert_ne!(
        cli.run(["exec", "c1", "--", "mknod", "/tmp/sda", "b", "8", "0"])
            .code,
        0
    );
}

#[test]
fn a_signal_reaches_the_command() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let script = "trap 'echo got it; exit 42' TERM; echo ready; while :; do sleep 0.1; done";
    let run = daemon
        .cli()
        .command(["exec", "c1", "--", "sh", "-c", script]);
    let mut child = run
        .command()
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut reader = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut reader, &mut line).unwrap();
    assert_eq!(line, "ready\n");
    // `nsenter` waits for the real client.
    signal(only_child(child.id()).unwrap(), Signal::SIGTERM).unwrap();
    line.clear();
    std::io::BufRead::read_line(&mut reader, &mut line).unwrap();
    assert_eq!(line, "got it\n");
    assert_eq!(exit_code(child.wait().unwrap()), 42);
}

#[test]
fn a_shell_on_a_terminal_follows_the_window() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let mut terminal =
        Terminal::spawn(&daemon.cli().command(["exec", "c1", "--", "sh"]), 91, 27).unwrap();
    terminal
        .send("stty size; tty; echo mark$((40+2))\n")
        .unwrap();
    terminal.expect("27 91");
    terminal.expect("/dev/pts/");
    terminal.expect("mark42");
    terminal.resize(103, 31).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    terminal.send("stty size\n").unwrap();
    terminal.expect("31 103");
    // The terminal's own keys work: Ctrl-C ends the command, not the client.
    terminal.send("sleep 1000\n").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    terminal.send("\u{3}").unwrap();
    terminal.send("echo still$((1+1))\n").unwrap();
    terminal.expect("still2");
    terminal.send("exit 7\n").unwrap();
    assert_eq!(terminal.wait(), 7);
}

#[test]
fn many_at_once_do_not_mix() {
    require!(root);
    let (daemon, before) = daemon_with_c1();
    let cli = daemon.cli();
    std::thread::scope(|scope| {
        for n in 0..16 {
            scope.spawn(move || {
                let text = format!("number {n}");
                let output = cli.feed(text.as_bytes(), ["exec", "c1", "--", "cat"]);
                assert_eq!(output.stdout, text, "{output}");
            });
        }
    });
    cli.ok(["delete", "-f", "c1"]);
    before.assert_none(&daemon);
}

#[test]
fn a_stopped_instance_says_so() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let cli = daemon.cli();
    cli.ok(["stop", "-f", "c1"]);
    let text = cli.fails(["exec", "c1", "--", "true"]);
    assert!(
        text.contains("running") || text.contains("Stopped") || text.contains("stopped"),
        "{text}"
    );
}

#[test]
fn a_command_ends_with_its_client() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let run = daemon
        .cli()
        .command(["exec", "c1", "--", "sleep", "7654321"]);
    let mut child = run
        .command()
        .stdin(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let runs = || {
        let script = "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -q 'sleep 765432[1]'";
        let ps = ["exec", "c1", "--", "sh", "-c", script];
        daemon.cli().run(ps).code == 0
    };
    let patience = std::time::Duration::from_secs(20);
    rlxc_tests::process::eventually("it runs", patience, runs);
    signal(only_child(child.id()).unwrap(), Signal::SIGKILL).unwrap();
    child.wait().unwrap();
    rlxc_tests::process::eventually("it is ended", patience, || !runs());
}

#[test]
fn closed_streams_do_not_end_a_command() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let script = "exec >/dev/null 2>&1 </dev/null; sleep 1; exit 9";
    let output = daemon.cli().run(["exec", "c1", "--", "sh", "-c", script]);
    assert_eq!(output.code, 9, "{output}");
}

/// pylxd closes its sockets once the operation has ended, the one of an input among them that nobody has read.
#[test]
fn a_goodbye_after_the_end_is_heard() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let (operation, secrets) = super::abuse::exec(&daemon, &["echo", "done"]);
    let mut sockets = ["0", "1", "2"].map(|name| socket(&daemon, &operation, &secrets[name]));
    let ended = ask(&daemon, "GET", &format!("{operation}/wait"), "", "").json();
    assert_eq!(ended["metadata"]["metadata"]["return"], 0, "{ended}");
    std::thread::sleep(std::time::Duration::from_millis(100));
    for (number, socket) in sockets.iter_mut().enumerate() {
        let late = socket
            .write_all(&frame(1, 0, b""))
            .and_then(|()| socket.write_all(&frame(8, 0, b"")));
        assert!(late.is_ok(), "socket {number}: {late:?}");
        let mut rest = Vec::new();
        socket.read_to_end(&mut rest).unwrap();
        let goodbye = rest.ends_with(&[0x88, 0]);
        assert!(goodbye, "socket {number}: {rest:02x?}");
    }
}
