//! TPMs: emulated ones of instances where the kernel has the proxy for them (`/dev/vtpmx`); where it has not, what is said.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use rlxc_tests::process::{Run, eventually, signal};
use rlxc_tests::{Cli, Daemon, Leaks, require};

use super::daemon_with_c1;

const SOON: Duration = Duration::from_secs(10);

/// Which of the two is tried depends on the kernel that the tests run on: a module may have to be loaded for it.
#[test]
fn an_instance_has_a_tpm_of_its_own_or_is_told_why_not() {
    require!(root);
    let (daemon, before) = daemon_with_c1();
    // The daemon does so as well; here it tells which of the two it is.
    drop(Run::new(["modprobe", "-q", "tpm_vtpm_proxy"]).output());
    if Path::new("/dev/vtpmx").exists() {
        it_answers(daemon, &before);
    } else {
        it_is_refused(&daemon, &before);
    }
}

fn it_is_refused(daemon: &Daemon, before: &Leaks) {
    let cli = daemon.cli();
    let says_why = |error: &str| {
        for part in ["device `mine`", "/dev/vtpmx", "modprobe tpm_vtpm_proxy"] {
            assert!(error.contains(part), "{part}: {error}");
        }
    };
    let add = ["config", "device", "add", "c1", "mine", "tpm"];
    says_why(&cli.fails(add));
    assert_eq!(cli.ok(["config", "device", "list", "c1"]), "");
    cli.ok(["stop", "-f", "c1"]);
    cli.ok(add);
    says_why(&cli.fails(["start", "c1"]));
    assert_eq!(cli.status("c1").as_deref(), Some("Stopped"));
    cli.ok(["config", "device", "remove", "c1", "mine"]);
    cli.ok(["start", "c1"]);
    cli.ok(["delete", "-f", "c1"]);
    before.assert_none(daemon);
}

/// What a TPM answers to a command, both as hexadecimal digits; see "TPM 2.0 Library, Part 3: Commands".
fn ask(cli: Cli<'_>, node: &str, command: &str) -> String {
    let bytes: Vec<String> = (0..command.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&command[at..at + 2], 16).unwrap())
        .map(|byte| format!("\\{byte:03o}"))
        .collect();
    let script = format!(
        "exec 3<>{node}; printf '{}' >&3; dd bs=4096 count=1 <&3 2>/dev/null | od -An -v -tx1 | tr -d ' \\n'",
        bytes.concat()
    );
    cli.exec("c1", &["sh", "-c", &script])
}

/// How often a TPM was switched on: `resetCount` of TPM2_ReadClock.
fn resets(cli: Cli<'_>) -> u32 {
    let answer = ask(cli, "/dev/tpmrm0", "80010000000a00000181");
    assert_eq!(&answer[12..20], "00000000", "{answer}");
    u32::from_str_radix(&answer[52..60], 16).unwrap()
}

/// TPM2_GetRandom, 8 bytes.
fn random(cli: Cli<'_>, node: &str) -> String {
    let answer = ask(cli, node, "80010000000c0000017b0008");
    assert_eq!(&answer[..24], "800100000014000000000008", "{answer}");
    answer[24..].to_owned()
}

/// The processes that emulate TPMs of this daemon's instances.
fn emulators(daemon: &Daemon) -> Vec<u32> {
    let line = format!("^[^ ]*swtpm .*dir={}/tpms/", daemon.dir().display());
    let found = Run::new(["pgrep", "-f", &line]).output().unwrap();
    let pids = found.stdout.lines();
    pids.map(|pid| pid.parse().unwrap()).collect()
}

fn it_answers(mut daemon: Daemon, before: &Leaks) {
    let cli = daemon.cli();
    // Beside the one that it has: it comes and goes while the instance runs.
    cli.ok(["config", "device", "add", "c1", "mine", "tpm"]);
    assert_ne!(random(cli, "/dev/tpm0"), random(cli, "/dev/tpmrm0"));
    let first = resets(cli);
    cli.ok(["launch", "busybox", "c2"]);
    let mine = ["path=/dev/sub/tpm", "pathrm=/dev/sub/tpmrm"];
    let line = ["config", "device", "add", "c2", "mine", "tpm"];
    cli.ok(line.iter().chain(&mine).copied());
    assert_eq!(emulators(&daemon).len(), 2);
    cli.exec("c2", &["test", "-c", "/dev/sub/tpmrm"]);

    // What it keeps outlives a restart, and a change of its path.
    cli.ok(["restart", "-f", "c1"]);
    assert_eq!(resets(cli), first + 1);
    cli.ok(["config", "device", "set", "c1", "mine", "path=/dev/tpm7"]);
    assert_eq!(resets(cli), first + 2);
    cli.exec("c1", &["test", "!", "-e", "/dev/tpm0"]);
    cli.ok(["rename", "c1", "other"]);
    cli.ok(["rename", "other", "c1"]);
    cli.ok(["stop", "-f", "c1", "c2"]);
    assert!(
        emulators(&daemon).is_empty(),
        "they end with their instances"
    );
    cli.ok(["start", "c1"]);
    assert_eq!(resets(cli), first + 3);

    // The daemon may die, and the emulator.
    daemon.kill();
    daemon.start();
    let cli = daemon.cli();
    assert_eq!(resets(cli), first + 3);
    let [emulator] = emulators(&daemon)[..] else {
        panic!("one emulator");
    };
    signal(emulator, Signal::SIGKILL).unwrap();
    eventually("it is switched on again", SOON, || {
        let pids = emulators(&daemon);
        pids.len() == 1 && pids[0] != emulator
    });
    eventually("it answers", SOON, || {
        let line = ["exec", "c1", "--", "sh", "-c", "exec 3<>/dev/tpmrm0"];
        cli.run(line).code == 0
    });
    assert_eq!(resets(cli), first + 4);

    // A device of the same name is another TPM.
    cli.ok(["config", "device", "remove", "c1", "mine"]);
    cli.exec("c1", &["test", "!", "-e", "/dev/tpmrm0"]);
    assert!(emulators(&daemon).is_empty());
    cli.ok(["config", "device", "add", "c1", "mine", "tpm"]);
    assert_eq!(resets(cli), first);
    cli.ok(["delete", "-f", "c1", "c2"]);
    assert!(!daemon.dir().join("tpms/1").exists());
    before.assert_none(&daemon);
}
