//! Both layouts, as text; and this host's own, for real.

use super::*;
use crate::spec::CpuTime;

const HYBRID: &str = "\
25 24 0:22 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
26 25 0:23 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
27 25 0:24 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
28 25 0:25 / /sys/fs/cgroup/unified rw,relatime shared:4 - cgroup2 cgroup2 rw
";
const UNIFIED: &str =
    "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

#[test]
fn finds_the_controllers_of_a_hybrid_host() {
    let layout = Layout::parse(HYBRID).unwrap();
    assert_eq!(layout.unified, Path::new("/sys/fs/cgroup/unified"));
    let controllers: Vec<_> = layout.legacy.keys().copied().collect();
    assert_eq!(controllers, [Controller::Memory, Controller::Cpu]);
}

#[test]
fn a_unified_host_has_no_legacy_controllers() {
    let layout = Layout::parse(UNIFIED).unwrap();
    assert_eq!(layout.unified, Path::new("/sys/fs/cgroup"));
    assert!(layout.legacy.is_empty());
    assert_eq!(Layout::parse(""), None);
}

fn skip_unless_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        assert!(std::env::var_os("RLXC_FORBID_SKIP").is_none(), "needs root");
        eprintln!("skipped: needs root");
    }
    !root
}

#[test]
fn group_is_made_limited_frozen_measured_and_removed() {
    if skip_unless_root() {
        return;
    }
    let layout = Layout::detect().unwrap();
    let top = format!("rlxc-test-{}", std::process::id());
    let cgroup = Cgroup::new(layout.clone(), format!("{top}/1"));
    let limits = Limits {
        memory: Some(64 << 20),
        processes: Some(50),
        cpu_time: Some(CpuTime {
            quota_us: 50_000,
            period_us: 100_000,
        }),
        ..Limits::default()
    };
    cgroup
        .create(Some((1_000_000, 1_000_000)), &limits)
        .unwrap();
    let mut child = rlxc_sys::tool::Tool::new("sleep")
        .args(["60"])
        .command()
        .unwrap()
        .spawn()
        .unwrap();
    write(&cgroup.path().join("cgroup.procs"), &child.id().to_string()).unwrap();
    cgroup.apply(&limits).unwrap();
    for members in cgroup.legacy_members() {
        let inside = tree::read_processes(&members).unwrap();
        assert_eq!(inside.len(), 1, "{}", members.display());
    }
    cgroup.freeze().unwrap();
    assert!(cgroup.is_frozen());
    cgroup.thaw().unwrap();
    let usage = cgroup.usage().unwrap();
    assert_eq!((usage.processes, usage.memory_limit), (1, Some(64 << 20)));
    cgroup.apply(&Limits::default()).unwrap();
    assert_eq!(cgroup.usage().unwrap().memory_limit, None);
    std::fs::create_dir(cgroup.path().join("made-inside")).unwrap();
    cgroup.kill().unwrap();
    child.wait().unwrap();
    cgroup.delete().unwrap();
    Cgroup::new(layout, top).delete().unwrap();
    assert!(!cgroup.path().exists());
}
