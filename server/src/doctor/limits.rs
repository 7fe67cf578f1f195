//! Judges limits of the kernel that many instances reach together. Pure.

use rlxc_api::{DoctorFinding, Severity};

use super::facts::Facts;
use super::finding::{Described as _, check, fine, flaw};

/// A sysctl, the least that is comfortable, and what happens below that. See Documentation/admin-guide/sysctl.
const SYSCTLS: [(&str, u64, Severity, &str); 9] = [
    (
        "kernel.pid_max",
        131_072,
        Severity::Warning,
        "all instances together can't have more threads: a thousand of them need more",
    ),
    (
        "fs.inotify.max_user_instances",
        512,
        Severity::Notice,
        "all users of an instance together can have only so many: `tail -f`, systemd and file watchers fail with \"too many open files\"",
    ),
    (
        "fs.inotify.max_user_watches",
        131_072,
        Severity::Notice,
        "editors and build tools inside can't watch large trees",
    ),
    (
        "kernel.keys.maxkeys",
        2_000,
        Severity::Notice,
        "each user of an instance can have only so many keys: nested containers fail with \"disk quota exceeded\"",
    ),
    (
        "kernel.pty.max",
        16_384,
        Severity::Notice,
        "all instances together can't have more terminals, and each may take a thousand of them",
    ),
    (
        "vm.max_map_count",
        262_144,
        Severity::Notice,
        "databases such as Elasticsearch refuse to start inside",
    ),
    (
        "fs.aio-max-nr",
        524_288,
        Severity::Notice,
        "several databases with asynchronous I/O can't run at the same time",
    ),
    (
        "net.ipv4.neigh.default.gc_thresh3",
        8_192,
        Severity::Notice,
        "with about a thousand instances on bridges, neighbours get lost (\"neighbour table overflow\")",
    ),
    (
        "net.netfilter.nf_conntrack_max",
        131_072,
        Severity::Notice,
        "with many connections through NAT, new ones are dropped",
    ),
];
/// A monitor needs few; the daemon some for each instance and each session.
const OPEN_FILES: u64 = 65_536;

pub(super) fn judge(facts: &Facts) -> Vec<DoctorFinding> {
    let mut findings: Vec<_> = SYSCTLS
        .iter()
        .filter_map(|limit| sysctl(facts, *limit))
        .collect();
    if findings.is_empty() {
        findings.push(fine("limits", "the kernel's limits are wide enough", ""));
    }
    findings.push(open_files(facts));
    findings
}

fn sysctl(
    facts: &Facts,
    (name, least, severity, cost): (&str, u64, Severity, &str),
) -> Option<DoctorFinding> {
    let value = *facts.sysctls.get(name)?;
    let finding = flaw(
        severity,
        &format!("limit-{name}"),
        "a limit of the kernel is low",
        format!("{name} = {value}"),
    );
    (value < least).then(|| finding.costs(cost).mend(set_sysctl(name, least)))
}

/// The command that sets a sysctl now and at each boot.
pub(super) fn set_sysctl(name: &str, value: u64) -> String {
    format!(
        "`echo '{name} = {value}' >> /etc/sysctl.d/60-rlxc.conf && sysctl -p /etc/sysctl.d/60-rlxc.conf`"
    )
}

/// The sysctls that are judged anywhere.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let others = [
        "user.max_user_namespaces",
        "kernel.unprivileged_userns_clone",
        "kernel.apparmor_restrict_unprivileged_userns",
    ];
    SYSCTLS.iter().map(|(name, ..)| *name).chain(others)
}

fn open_files(facts: &Facts) -> DoctorFinding {
    let limit = facts.open_files.unwrap_or(u64::MAX);
    let detail = facts
        .open_files
        .map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
    check(
        limit >= OPEN_FILES,
        fine("limit-open-files", "the daemon may open enough files", &detail),
        flaw(Severity::Notice, "limit-open-files", "the daemon may open few files", format!("hard limit {detail}"))
            .costs("instances inherit it: databases and web servers inside want more")
            .mend("start rlxcd with a higher limit: `ulimit -Hn 1048576`, or LimitNOFILE=1048576 in its systemd unit"),
    )
}
