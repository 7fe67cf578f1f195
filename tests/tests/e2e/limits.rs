//! Limits hold, change while an instance runs, and are refused by name where they can't be had.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rlxc_tests::process::eventually;
use rlxc_tests::{Daemon, Leaks, api, require};

use super::{daemon_with_c1, warm_up};

/// Groups of version 1 come with the first limit of their kind, and stay with the daemon: they are no leak.
pub(super) fn limited_before(daemon: &Daemon) -> Leaks {
    let cli = daemon.cli();
    cli.ok(["launch", "busybox", "warmup"]);
    cli.ok([
        "config",
        "set",
        "warmup",
        "limits.memory=64MiB",
        "limits.processes=50",
        "limits.cpu=1",
    ]);
    cli.ok(["delete", "-f", "warmup"]);
    Leaks::look(daemon)
}

/// What a file of the instances' control groups holds, by its names on version 2 and on version 1; one line for each
/// instance that has it.
fn limit(daemon: &Daemon, unified: &str, legacy: &str) -> Vec<String> {
    let groups = rlxc_tests::leaks::cgroups(&daemon.prefix());
    let of_instances = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.parse::<u64>().is_ok()
    };
    let read = |file: &str| -> Vec<String> {
        let groups = groups.iter().filter(|path| of_instances(path));
        groups
            .filter_map(|group| std::fs::read_to_string(group.join(file)).ok())
            .map(|text| text.trim().to_owned())
            .collect()
    };
    let found = read(unified);
    if found.is_empty() {
        read(legacy)
    } else {
        found
    }
}

fn host_cpus() -> usize {
    std::thread::available_parallelism().unwrap().get()
}

#[test]
fn limits_change_while_an_instance_runs_and_outlive_a_restart() {
    require!(root);
    let (mut daemon, _) = daemon_with_c1();
    daemon.cli().ok(["delete", "-f", "c1"]);
    let before = limited_before(&daemon);
    let cli = daemon.cli();
    cli.ok(["launch", "busybox", "c1"]);
    // Who may not raise a hard limit can't give back either.
    let most = cli.exec("c1", &["sh", "-c", "ulimit -Hn"]);
    let files = format!("limits.kernel.nofile=1000:{most}");
    cli.ok([
        "config",
        "set",
        "c1",
        "limits.memory=256MiB",
        "limits.processes=100",
        "limits.cpu=1",
        "limits.cpu.allowance=50ms/100ms",
        "limits.cpu.priority=5",
        "limits.memory.swap=false",
        &files,
    ]);
    assert_eq!(
        limit(&daemon, "memory.max", "memory.limit_in_bytes"),
        ["268435456"]
    );
    assert_eq!(limit(&daemon, "pids.max", "pids.max"), ["100"]);
    let quota = limit(&daemon, "cpu.max", "cpu.cfs_quota_us");
    assert!(quota[0].starts_with("50000"), "{quota:?}");
    assert_eq!(cli.exec("c1", &["nproc"]), "1");
    assert_eq!(
        cli.exec("c1", &["sh", "-c", "ulimit -n; ulimit -Hn"]),
        format!("1000\n{most}")
    );
    rlimits_are_all_or_none(&daemon, &files, &most);

    cli.ok(["restart", "-f", "c1"]);
    assert_eq!(
        limit(&daemon, "memory.max", "memory.limit_in_bytes"),
        ["268435456"]
    );
    assert_eq!(cli.exec("c1", &["nproc"]), "1");
    daemon.kill();
    daemon.start();
    let cli = daemon.cli();
    assert_eq!(limit(&daemon, "pids.max", "pids.max"), ["100"]);

    for key in [
        "limits.memory",
        "limits.processes",
        "limits.cpu",
        "limits.cpu.allowance",
    ] {
        cli.ok(["config", "unset", "c1", key]);
    }
    cli.ok(["config", "unset", "c1", "limits.kernel.nofile"]);
    let memory = limit(&daemon, "memory.max", "memory.limit_in_bytes");
    assert!(memory[0] == "max" || memory[0].len() > 15, "{memory:?}");
    assert_eq!(limit(&daemon, "pids.max", "pids.max"), ["max"]);
    assert_eq!(cli.exec("c1", &["nproc"]), host_cpus().to_string());
    assert_ne!(cli.exec("c1", &["sh", "-c", "ulimit -n"]), "1000");
    cli.ok(["delete", "-f", "c1"]);
    before.assert_none(&daemon);
}

/// Init has them too; all or none of a change, also where what is hard can't be raised again. `files` is what it has, `most` the hard part of that.
#[track_caller]
fn rlimits_are_all_or_none(daemon: &Daemon, files: &str, most: &str) {
    let cli = daemon.cli();
    let init = cli.exec("c1", &["grep", "open files", "/proc/1/limits"]);
    assert!(init.contains("1000") && init.contains(most), "{init}");
    let fewer = format!("limits.kernel.nofile=500:{most}");
    let more = "limits.kernel.sigpending=unlimited";
    let raised = cli.run(["config", "set", "c1", &fewer, more]);
    if raised.code == 0 {
        cli.ok(["config", "set", "c1", files]);
        cli.ok(["config", "unset", "c1", "limits.kernel.sigpending"]);
    } else {
        assert!(
            raised.stderr.contains("limits.kernel.sigpending"),
            "{raised}"
        );
        let limits = cli.exec("c1", &["sh", "-c", "ulimit -n; ulimit -Hn"]);
        assert_eq!(limits, format!("1000\n{most}"));
    }
}

#[test]
fn a_limit_holds() {
    require!(root);
    let (daemon, _before) = daemon_with_c1();
    let cli = daemon.cli();
    cli.ok(["config", "set", "c1", "limits.cpu.allowance=50ms/100ms"]);
    assert_half_a_core(&daemon);
    cli.ok([
        "config",
        "set",
        "c1",
        "limits.memory=64MiB",
        "limits.memory.swap=false",
    ]);
    let bomb = cli.run([
        "exec",
        "c1",
        "--",
        "sh",
        "-c",
        "dd if=/dev/zero of=/dev/shm/bomb bs=1M count=200; tail /dev/zero",
    ]);
    assert_ne!(bomb.code, 0, "{bomb}");
    assert_eq!(cli.exec("c1", &["echo", "alive"]), "alive");
    cli.exec("c1", &["rm", "-f", "/dev/shm/bomb"]);
    cli.ok(["config", "set", "c1", "limits.processes=20"]);
    let forks = cli.run([
        "exec",
        "c1",
        "--",
        "sh",
        "-c",
        "for i in $(seq 40); do sleep 5 & done; wait",
    ]);
    assert!(forks.stderr.contains("fork"), "{forks}");
    assert_eq!(cli.status("c1").as_deref(), Some("Running"));
}

/// Time of processors that two busy loops get, where nothing but the limit holds them up.
#[track_caller]
fn assert_half_a_core(daemon: &Daemon) {
    let cli = daemon.cli();
    for group in rlxc_tests::leaks::cgroups(&daemon.prefix()) {
        for (file, most) in [("cpu.weight", "10000"), ("cpu.shares", "262144")] {
            let path = group.join(file);
            if path.exists() {
                std::fs::write(path, most).unwrap();
            }
        }
    }
    let used = || {
        let state = cli.instance("c1").unwrap();
        state.pointer("/state/cpu/usage").unwrap().as_f64().unwrap()
    };
    let busy = "(timeout 12 sh -c 'while :; do :; done') >/dev/null 2>&1 </dev/null &";
    cli.exec("c1", &["sh", "-c", &[busy, busy].concat()]);
    std::thread::sleep(Duration::from_millis(500));
    let (from, start) = (used(), Instant::now());
    std::thread::sleep(Duration::from_secs(6));
    let (to, elapsed) = (used(), start.elapsed().as_nanos());
    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    let share = (to - from) / elapsed as f64;
    assert!(
        (0.48..=0.52).contains(&share),
        "{share} of a core instead of half"
    );
}

#[test]
fn processors_are_shared_out_and_shared_out_anew() {
    require!(root);
    if host_cpus() < 2 {
        return;
    }
    let (daemon, _before) = daemon_with_c1();
    let cli = daemon.cli();
    cli.ok(["launch", "busybox", "c2", "-c", "limits.cpu=1"]);
    cli.ok(["config", "set", "c1", "limits.cpu=1"]);
    let on = |name: &str| {
        let status = cli.exec(name, &["grep", "Cpus_allowed_list", "/proc/self/status"]);
        status.split_whitespace().last().unwrap().to_owned()
    };
    assert_ne!(on("c1"), on("c2"));
    // One that has no choice drives the other away.
    let mine = on("c1");
    cli.ok(["config", "set", "c2", &format!("limits.cpu={mine}-{mine}")]);
    assert_eq!(on("c2"), mine);
    eventually("c1 makes room", Duration::from_secs(5), || on("c1") != mine);
    cli.ok(["delete", "-f", "c2"]);
    assert_eq!(cli.exec("c1", &["nproc"]), "1");
}

#[test]
fn what_is_wrong_is_named_and_nothing_changes() {
    require!(root);
    let (daemon, _before) = daemon_with_c1();
    let cli = daemon.cli();
    cli.ok(["config", "set", "c1", "limits.processes=123"]);
    for (key, value) in [
        ("limits.memory", "much"),
        ("limits.memory", "0"),
        ("limits.memory", "900TiB"),
        ("limits.cpu", "0"),
        ("limits.cpu", "4096"),
        ("limits.cpu", "3-1"),
        ("limits.cpu", "900-901"),
        ("limits.cpu.allowance", "half"),
        ("limits.cpu.allowance", "5ms/5s"),
        ("limits.cpu.priority", "11"),
        ("limits.cpu.nodes", "77"),
        ("limits.hugepages.64KB", "1GiB"),
        ("limits.hugepages.3MB", "1GiB"),
        ("limits.processes", "-1"),
        ("limits.disk.priority", "high"),
        ("limits.kernel.nofile", "2000:1000"),
        ("limits.kernel.files", "1"),
        ("limits.memory.swap", "perhaps"),
        ("limits.memory.enforce", "gently"),
    ] {
        let pair = format!("{key}={value}");
        let error = cli.fails(["config", "set", "c1", "limits.processes=50", &pair]);
        assert!(error.contains(key), "{pair}: {error}");
        assert_eq!(limit(&daemon, "pids.max", "pids.max"), ["123"], "{pair}");
        assert_eq!(cli.ok(["config", "get", "c1", "limits.processes"]), "123");
        let error = cli.fails(["launch", "busybox", "c9", "-c", &pair]);
        assert!(error.contains(key), "{pair}: {error}");
        assert_eq!(cli.status("c9"), None, "{pair}");
    }
    // A device that can't be had takes the limits back.
    let devices = r#"{"config": {"limits.processes": "77"}, "devices": {"x": {"type": "disk", "source": "/no/such", "path": "/x"}}}"#;
    let reply = api::ask(&daemon, "PATCH", "/1.0/instances/c1", "", devices);
    assert!(
        reply.status >= 400 && reply.body.contains("/no/such"),
        "{reply:?}"
    );
    assert_eq!(limit(&daemon, "pids.max", "pids.max"), ["123"]);
}

#[test]
fn a_profile_limits_all_that_have_it_at_once() {
    require!(root);
    let daemon = Daemon::initialized();
    rlxc_tests::image::import_busybox(&daemon);
    warm_up(&daemon);
    let before = limited_before(&daemon);
    let cli = daemon.cli();
    cli.ok(["profile", "create", "small"]);
    for name in ["c1", "c2"] {
        cli.ok(["launch", "busybox", name, "-p", "default", "-p", "small"]);
    }
    cli.ok(["profile", "set", "small", "limits.processes=60"]);
    assert_eq!(limit(&daemon, "pids.max", "pids.max"), ["60", "60"]);
    cli.ok(["profile", "unset", "small", "limits.processes"]);
    assert_eq!(limit(&daemon, "pids.max", "pids.max"), ["max", "max"]);
    cli.ok(["delete", "-f", "c1", "c2"]);
    cli.ok(["profile", "delete", "small"]);
    before.assert_none(&daemon);
}

#[test]
fn disks_are_throttled() {
    require!(root);
    let (daemon, _before) = daemon_with_c1();
    let cli = daemon.cli();
    cli.ok([
        "config",
        "device",
        "override",
        "c1",
        "root",
        "limits.write=2MiB",
        "limits.read=100iops",
    ]);
    let written = limit(&daemon, "io.max", "blkio.throttle.write_bps_device");
    assert!(written[0].contains("2097152"), "{written:?}");
    let start = Instant::now();
    cli.exec(
        "c1",
        &[
            "dd",
            "if=/dev/zero",
            "of=/root/big",
            "bs=1M",
            "count=8",
            "oflag=direct",
        ],
    );
    let elapsed = start.elapsed();
    assert!(
        elapsed > Duration::from_secs(2),
        "8 MiB at 2 MiB/s took {elapsed:?}"
    );
    cli.ok(["config", "device", "unset", "c1", "root", "limits.write"]);
    let start = Instant::now();
    cli.exec(
        "c1",
        &[
            "dd",
            "if=/dev/zero",
            "of=/root/big",
            "bs=1M",
            "count=8",
            "oflag=direct",
        ],
    );
    assert!(start.elapsed() < elapsed / 2, "not lifted");
    let error = cli.fails(["config", "device", "set", "c1", "root", "limits.read=fast"]);
    assert!(error.contains("limits.read=fast"), "{error}");
}

#[test]
fn a_change_takes_effect_within_milliseconds() {
    require!(root);
    let (daemon, _before) = daemon_with_c1();
    let change = |value: u32| {
        let body = format!(
            r#"{{"config": {{"limits.processes": "{value}", "limits.memory": "{value}MiB"}}}}"#
        );
        let start = Instant::now();
        let reply = api::ask(&daemon, "PATCH", "/1.0/instances/c1", "", &body);
        let elapsed = start.elapsed();
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(limit(&daemon, "pids.max", "pids.max"), [value.to_string()]);
        elapsed
    };
    let first = change(200);
    let mut times: Vec<Duration> = (201..231).map(change).collect();
    times.sort();
    eprintln!(
        "the first change took {first:?}, later ones {:?} (median), {:?} (worst)",
        times[15], times[29]
    );
    // What else the machine does only makes it slower.
    assert!(times[0] < Duration::from_millis(10), "{times:?}");
}

#[test]
fn limits_that_few_hosts_have_hold_or_are_told() {
    require!(root);
    let (daemon, _before) = daemon_with_c1();
    let cli = daemon.cli();
    let set = |pair: &str| cli.run(["config", "set", "c1", pair]);
    let pages = "limits.hugepages.2MB=4MiB";
    if std::path::Path::new("/sys/kernel/mm/hugepages/hugepages-2048kB").exists() {
        assert_eq!(set(pages).code, 0);
        let most = limit(&daemon, "hugetlb.2MB.max", "hugetlb.2MB.limit_in_bytes");
        assert_eq!(most, ["4194304"]);
        cli.ok(["config", "unset", "c1", "limits.hugepages.2MB"]);
        let most = limit(&daemon, "hugetlb.2MB.max", "hugetlb.2MB.limit_in_bytes");
        assert_ne!(most, ["4194304"]);
    } else {
        assert!(set(pages).stderr.contains("limits.hugepages.2MB"));
    }
    assert_eq!(set("limits.memory=64MiB").code, 0);
    assert_eq!(set("limits.memory.swap.priority=4").code, 0);
    let swappiness = limit(&daemon, "memory.swappiness", "memory.swappiness");
    let warnings = || cli.ok(["warning", "list", "-f", "json"]);
    // Only version 1 has it.
    assert!(
        swappiness == ["54"] || warnings().contains("limits.memory.swap.priority"),
        "{swappiness:?}"
    );
    assert_eq!(set("limits.disk.priority=3").code, 0);
    let weights = limit(&daemon, "io.bfq.weight", "blkio.bfq.weight");
    assert!(
        !weights.is_empty() || warnings().contains("limits.disk.priority"),
        "{weights:?}"
    );
}
