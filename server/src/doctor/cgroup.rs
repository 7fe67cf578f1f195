//! Judges control groups: layout, controllers, delegation. Pure; see cgroups(7).

use std::collections::BTreeSet;

use rlxc_api::{DoctorFinding, Severity};

use super::facts::{CgroupFacts, Facts};
use super::finding::{Described as _, check, fine, flaw};

/// Controllers in both worlds' names, with the limits that need them.
const CONTROLLERS: [(&str, &str, &str); 6] = [
    ("memory", "memory", "limits.memory"),
    ("cpu", "cpu", "limits.cpu.allowance and limits.cpu.priority"),
    ("cpuset", "cpuset", "limits.cpu"),
    ("pids", "pids", "limits.processes"),
    ("io", "blkio", "limits of disks"),
    ("hugetlb", "hugetlb", "limits.hugepages.*"),
];

pub(super) fn judge(facts: &Facts) -> Vec<DoctorFinding> {
    let cgroup = &facts.cgroup;
    let mut findings = vec![layout(cgroup)];
    findings.extend(
        CONTROLLERS
            .iter()
            .filter_map(|names| controller(cgroup, *names)),
    );
    findings.extend([swap(cgroup), devices(facts)]);
    findings.extend(delegation(cgroup));
    findings
}

fn layout(cgroup: &CgroupFacts) -> DoctorFinding {
    let id = "cgroup-layout";
    let real = cgroup
        .legacy_controllers
        .iter()
        .filter(|name| !name.starts_with("name="));
    let legacy: Vec<&str> = real.map(String::as_str).collect();
    match (&cgroup.unified, legacy.is_empty()) {
        (Some(path), true) => fine(id, "control groups are unified", format!("cgroup2 at {path}")),
        (Some(path), false) => fine(
            id,
            "control groups are hybrid",
            format!("cgroup2 at {path} for processes, limits by cgroup v1: {}", legacy.join(", ")),
        ),
        (None, _) => flaw(Severity::Error, id, "cgroup2 is not mounted", legacy.join(", "))
            .costs("instances don't start")
            .mend("mount it: `mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 none /sys/fs/cgroup/unified`; or boot with `systemd.unified_cgroup_hierarchy=1`"),
    }
}

fn controller(
    cgroup: &CgroupFacts,
    (new, old, limits): (&str, &str, &str),
) -> Option<DoctorFinding> {
    if cgroup.unified_controllers.contains(new) || cgroup.legacy_controllers.contains(old) {
        return None;
    }
    let mend = match new {
        "memory" => "boot with `cgroup_enable=memory`, if the kernel has CONFIG_MEMCG",
        _ => {
            "boot a kernel with this controller, and mount it where control groups are not unified"
        }
    };
    let finding = flaw(
        Severity::Warning,
        "cgroup-controller",
        "a controller is missing",
        new,
    );
    Some(finding.costs(format!("no {limits}")).mend(mend))
}

fn swap(cgroup: &CgroupFacts) -> DoctorFinding {
    check(
        cgroup.swap,
        fine("cgroup-swap", "swap can be limited", ""),
        flaw(
            Severity::Notice,
            "cgroup-swap",
            "swap can't be limited",
            "no memory.swap.max, no memory.memsw",
        )
        .costs("`limits.memory` doesn't hold what an instance swaps out")
        .mend("boot with `swapaccount=1`"),
    )
}

fn devices(facts: &Facts) -> DoctorFinding {
    check(
        facts.device_filter,
        fine(
            "cgroup-devices",
            "instances can open their own devices only",
            "by BPF",
        ),
        flaw(
            Severity::Notice,
            "cgroup-devices",
            "access to devices is not restricted",
            "the kernel takes no BPF program for devices of control groups",
        )
        .costs("a privileged instance can make and open any device of the host")
        .mend("boot a kernel with CONFIG_CGROUP_BPF; don't use `security.privileged`"),
    )
}

/// Only a hierarchy with controllers has something to protect.
fn delegation(cgroup: &CgroupFacts) -> Option<DoctorFinding> {
    let has = |wanted: &str| {
        let mut options = cgroup.unified_options.split(',');
        options.any(|option| option == wanted)
    };
    let path = cgroup.unified.as_ref()?;
    if !CONTROLLERS
        .iter()
        .any(|(name, ..)| cgroup.unified_controllers.contains(*name))
    {
        return None;
    }
    // Both are lost at once where something has mounted it anew without them, as lxcfs does.
    let costs = if has("memory_recursiveprot") {
        "a privileged instance could change its own limits"
    } else {
        "a privileged instance could change its own limits, and `limits.memory.enforce=soft` protects no groups that an \
         instance makes in itself, as systemd does"
    };
    Some(check(
        has("nsdelegate"),
        fine(
            "cgroup-delegation",
            "namespaces are borders of control groups",
            "nsdelegate",
        ),
        flaw(
            Severity::Notice,
            "cgroup-delegation",
            "namespaces are no borders of control groups",
            "cgroup2 is mounted without nsdelegate",
        )
        .costs(costs)
        .mend(format!(
            "`mount -o remount,nsdelegate,memory_recursiveprot {path}`"
        )),
    ))
}

/// Reads cgroup mounts from `/proc/self/mountinfo`, see proc_pid_mountinfo(5).
pub(super) fn parse_mounts(mountinfo: &str) -> CgroupFacts {
    let mut facts = CgroupFacts::default();
    for line in mountinfo.lines() {
        let Some((mount, filesystem)) = line.split_once(" - ") else {
            continue;
        };
        let mut fields = filesystem.split(' ');
        let (kind, options) = (fields.next(), fields.nth(1).unwrap_or_default());
        match kind {
            Some("cgroup2") if facts.unified.is_none() => {
                facts.unified = mount.split(' ').nth(4).map(str::to_owned);
                options.clone_into(&mut facts.unified_options);
            }
            Some("cgroup") => {
                let names = options
                    .split(',')
                    .filter(|option| !["rw", "ro", "xattr", "clone_children"].contains(option));
                facts.legacy_controllers.extend(names.map(str::to_owned));
            }
            _ => {}
        }
    }
    facts
}

/// Words of `cgroup.controllers`.
pub(super) fn parse_controllers(text: &str) -> BTreeSet<String> {
    text.split_whitespace().map(str::to_owned).collect()
}
