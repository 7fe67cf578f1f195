//! Judges the kernel: namespaces, mounts, seccomp, privileges. Pure.

use rlxc_api::{DoctorFinding, Severity};

use super::facts::Facts;
use super::finding::{Described as _, check, fine, flaw};

/// The oldest kernel that has all that the runtime calls: CLONE_INTO_CGROUP (5.7), mount_setattr (5.12).
const OLDEST: (u32, u32) = (5, 12);
const NAMESPACES: [&str; 7] = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];

/// Capabilities by bit, see capabilities(7), with what is lost without them.
const CAPABILITIES: [(u32, &str, Severity, &str); 5] = [
    (
        21,
        "CAP_SYS_ADMIN",
        Severity::Error,
        "nothing can be mounted and no namespace made: no instance starts",
    ),
    (
        12,
        "CAP_NET_ADMIN",
        Severity::Error,
        "no bridge, no link and no firewall rule can be made",
    ),
    (
        7,
        "CAP_SETUID",
        Severity::Error,
        "ids can't be mapped: no unprivileged instance starts",
    ),
    (
        27,
        "CAP_MKNOD",
        Severity::Warning,
        "devices can't be made for instances",
    ),
    (
        24,
        "CAP_SYS_RESOURCE",
        Severity::Notice,
        "`limits.kernel.*` above the daemon's own hard limits can't be given",
    ),
];

pub(super) fn judge(facts: &Facts) -> Vec<DoctorFinding> {
    let mut findings = vec![
        version(facts),
        namespaces(facts),
        user_namespaces(facts),
        idmapped(facts),
        overlay(facts),
    ];
    findings.extend([
        seccomp(facts),
        interception(facts),
        apparmor(facts),
        time_namespace(facts),
    ]);
    findings.extend(privileges(facts));
    findings
}

fn version(facts: &Facts) -> DoctorFinding {
    check(
        facts.kernel_version() >= OLDEST,
        fine("kernel-version", "the kernel is new enough", &facts.kernel_release),
        flaw(Severity::Error, "kernel-version", "the kernel is too old", &facts.kernel_release)
            .costs("instances don't start: mount_setattr(2) and clone3(2) into a control group are missing")
            .mend("boot Linux 5.15 or newer"),
    )
}

fn namespaces(facts: &Facts) -> DoctorFinding {
    let missing: Vec<_> = NAMESPACES
        .iter()
        .filter(|name| !facts.namespaces.contains(**name))
        .copied()
        .collect();
    check(
        missing.is_empty(),
        fine(
            "kernel-namespaces",
            "the kernel has all namespaces",
            NAMESPACES.join(", "),
        ),
        flaw(
            Severity::Error,
            "kernel-namespaces",
            "the kernel lacks namespaces",
            missing.join(", "),
        )
        .costs("instances don't start")
        .mend("boot a kernel with CONFIG_NAMESPACES and all that is below it in its menu"),
    )
}

fn user_namespaces(facts: &Facts) -> DoctorFinding {
    let id = "user-namespaces";
    if facts.sysctls.get("user.max_user_namespaces") == Some(&0) {
        return flaw(
            Severity::Error,
            id,
            "user namespaces are switched off",
            "user.max_user_namespaces = 0",
        )
        .costs("unprivileged instances don't start")
        .mend(super::limits::set_sysctl(
            "user.max_user_namespaces",
            65_536,
        ));
    }
    match &facts.trials.user_namespace {
        Err(why) => flaw(Severity::Error, id, "a user namespace can't be made", why)
            .costs("unprivileged instances don't start")
            .mend("boot a kernel with CONFIG_USER_NS; in a container, allow nesting"),
        Ok(()) => nested_user_namespaces(facts),
    }
}

/// The daemon is root and needs neither; programs inside do (nested containers, browsers, `unshare -U`).
fn nested_user_namespaces(facts: &Facts) -> DoctorFinding {
    let id = "user-namespaces";
    let restrictions = [
        ("kernel.unprivileged_userns_clone", 0, 1),
        ("kernel.apparmor_restrict_unprivileged_userns", 1, 0),
    ];
    let active = restrictions
        .into_iter()
        .find(|(name, bad, _)| facts.sysctls.get(*name) == Some(bad));
    match active {
        Some((name, bad, good)) => flaw(
            Severity::Notice,
            id,
            "unprivileged users may not make user namespaces",
            format!("{name} = {bad}"),
        )
        .costs("nested containers and sandboxes of browsers inside instances may not work")
        .mend(super::limits::set_sysctl(name, good)),
        None => fine(id, "user namespaces can be made", "tried"),
    }
}

fn idmapped(facts: &Facts) -> DoctorFinding {
    let disk = &facts.disk;
    match &facts.trials.idmapped_mount {
        Ok(()) => fine("idmapped-mounts", "files can be mounted with shifted owners", format!("tried on {}", disk.kind)),
        Err(why) => flaw(Severity::Warning, "idmapped-mounts", "files can't be mounted with shifted owners", format!("{}: {why}", disk.kind))
            .costs("instances in this place can't share an image: each is unpacked and shifted on its own, slower and larger")
            .mend(format!("put `{}` on ext4, xfs, btrfs or tmpfs, with Linux 5.19 or newer", disk.path)),
    }
}

fn overlay(facts: &Facts) -> DoctorFinding {
    match &facts.trials.idmapped_overlay {
        Ok(()) => fine(
            "idmapped-overlay",
            "overlays work over shifted files",
            format!("tried on {}", facts.disk.kind),
        ),
        Err(why) => flaw(
            Severity::Warning,
            "idmapped-overlay",
            "overlays don't work over shifted files",
            why,
        )
        .costs("the storage driver `overlay` can't be used; `dir` copies each image instead")
        .mend("boot Linux 5.19 or newer with CONFIG_OVERLAY_FS (`modprobe overlay`)"),
    }
}

fn seccomp(facts: &Facts) -> DoctorFinding {
    check(
        facts.seccomp_actions.contains("errno"),
        fine("seccomp", "system calls can be filtered", ""),
        flaw(
            Severity::Warning,
            "seccomp",
            "system calls can't be filtered",
            "no /proc/sys/kernel/seccomp",
        )
        .costs("one wall less between instances and the kernel")
        .mend("boot a kernel with CONFIG_SECCOMP_FILTER"),
    )
}

fn interception(facts: &Facts) -> DoctorFinding {
    check(
        facts.seccomp_actions.contains("user_notif"),
        fine("interception", "system calls can be intercepted", ""),
        flaw(
            Severity::Notice,
            "interception",
            "system calls can't be intercepted",
            "no `user_notif` in /proc/sys/kernel/seccomp/actions_avail",
        )
        .costs("instances with `security.syscalls.intercept.*` don't start")
        .mend("boot Linux 5.5 or newer with CONFIG_SECCOMP_FILTER"),
    )
}

fn apparmor(facts: &Facts) -> DoctorFinding {
    check(
        facts.apparmor,
        fine("apparmor", "AppArmor is on", ""),
        flaw(
            Severity::Notice,
            "apparmor",
            "AppArmor is off",
            "no /sys/module/apparmor, or it is disabled",
        )
        .costs("one wall less around instances; user namespaces and seccomp stand without it")
        .mend("where the kernel has it, boot with `apparmor=1 security=apparmor`"),
    )
}

fn time_namespace(facts: &Facts) -> DoctorFinding {
    check(
        facts.namespaces.contains("time"),
        fine("time-namespace", "uptime can be an instance's own", ""),
        flaw(
            Severity::Notice,
            "time-namespace",
            "the kernel has no time namespaces",
            "",
        )
        .costs("instances see the host's uptime")
        .mend("boot a kernel with CONFIG_TIME_NS"),
    )
}

fn privileges(facts: &Facts) -> Vec<DoctorFinding> {
    let missing = CAPABILITIES
        .iter()
        .filter(|(bit, ..)| facts.capabilities & (1 << bit) == 0);
    let flaws: Vec<_> = missing
        .map(|(_, name, severity, cost)| {
            flaw(*severity, "privileges", "the daemon lacks a privilege", *name)
                .costs(*cost)
                .mend("run rlxcd as root of the host; where that is a container or a sandbox, let it keep this capability")
        })
        .collect();
    if flaws.is_empty() {
        return vec![fine(
            "privileges",
            "the daemon has the privileges that it needs",
            "",
        )];
    }
    flaws
}
