//! Judgements on recorded facts, and one look at the real host.

use rlxc_api::{DoctorFinding, Severity};

use super::facts::{CgroupFacts, DiskFacts, FirewallFacts};
use super::*;

fn set(words: &str) -> std::collections::BTreeSet<String> {
    words.split_whitespace().map(str::to_owned).collect()
}

/// A stock Debian 13 with everything installed.
fn good() -> Facts {
    Facts {
        kernel_release: "6.12.41+deb13-amd64".to_owned(),
        namespaces: set("cgroup ipc mnt net pid user uts time"),
        seccomp_actions: set("kill_process errno user_notif allow"),
        capabilities: u64::MAX,
        sysctls: limits::names()
            .map(|name| {
                (
                    name.to_owned(),
                    if name.ends_with("restrict_unprivileged_userns") {
                        0
                    } else {
                        1 << 30
                    },
                )
            })
            .collect(),
        cgroup: CgroupFacts {
            unified: Some("/sys/fs/cgroup".to_owned()),
            unified_options: "rw,nsdelegate,memory_recursiveprot".to_owned(),
            unified_controllers: set("cpuset cpu io memory hugetlb pids"),
            swap: true,
            ..CgroupFacts::default()
        },
        tools: set("nft dnsmasq unsquashfs mmdebstrap"),
        lxcfs: true,
        device_filter: true,
        apparmor: true,
        devices: set("fuse net/tun"),
        disk: DiskFacts {
            path: "/var/lib/rlxc".to_owned(),
            kind: "btrfs".to_owned(),
            free_bytes: Some(100 << 30),
            ..DiskFacts::default()
        },
        ..Facts::default()
    }
}

fn flaws(facts: &Facts) -> Vec<DoctorFinding> {
    let findings = judge(facts).findings;
    findings
        .into_iter()
        .filter(|finding| finding.severity > Severity::Ok)
        .collect()
}

/// The only flaw of a good host with one change.
fn only_flaw(change: impl FnOnce(&mut Facts)) -> DoctorFinding {
    let mut facts = good();
    change(&mut facts);
    let mut flaws = flaws(&facts);
    assert_eq!(flaws.len(), 1, "{flaws:#?}");
    flaws.remove(0)
}

#[test]
fn a_good_host_has_no_flaws() {
    assert_eq!(flaws(&good()), []);
}

type Change = fn(&mut Facts);

#[test]
fn each_flaw_says_what_it_costs_and_how_to_mend_it() {
    let changes: [(&str, Change); 15] = [
        ("kernel-version", |f| {
            f.kernel_release = "5.4.0-42".to_owned();
        }),
        ("kernel-namespaces", |f| {
            f.namespaces.retain(|name| name != "user");
        }),
        ("user-namespaces", |f| {
            f.sysctls
                .extend([("user.max_user_namespaces".to_owned(), 0)]);
        }),
        ("idmapped-mounts", |f| {
            f.trials.idmapped_mount = Err("invalid argument".to_owned());
        }),
        ("idmapped-overlay", |f| {
            f.trials.idmapped_overlay = Err("no such device".to_owned());
        }),
        ("privileges", |f| f.capabilities &= !(1 << 24)),
        ("cgroup-layout", |f| {
            f.cgroup = CgroupFacts {
                unified: None,
                unified_controllers: set(""),
                legacy_controllers: set("cpu memory cpuset pids blkio hugetlb"),
                ..f.cgroup.clone()
            }
        }),
        ("cgroup-controller", |f| {
            f.cgroup.unified_controllers.retain(|name| name != "memory");
        }),
        ("cgroup-swap", |f| f.cgroup.swap = false),
        ("cgroup-devices", |f| f.device_filter = false),
        ("subordinate-ids", |f| {
            f.subuid = "root:100000:65536\n".to_owned();
        }),
        ("tool-dnsmasq", |f| f.tools.retain(|name| name != "dnsmasq")),
        ("limit-kernel.pid_max", |f| {
            f.sysctls.extend([("kernel.pid_max".to_owned(), 32_768)]);
        }),
        ("limit-open-files", |f| f.open_files = Some(1024)),
        ("disk-space", |f| f.disk.free_bytes = Some(1 << 29)),
    ];
    for (id, change) in changes {
        let flaw = only_flaw(change);
        assert_eq!(flaw.id, id);
        assert!(!flaw.cost.is_empty() && !flaw.remedy.is_empty(), "{flaw:?}");
    }
}

#[test]
fn hybrid_control_groups_are_fine() {
    let mut facts = good();
    facts.cgroup.unified_controllers.clear();
    facts.cgroup.legacy_controllers =
        set("cpu cpuacct cpuset memory pids blkio hugetlb freezer name=systemd");
    assert_eq!(flaws(&facts), []);
}

const DOCKER: &str = "table ip filter {\n\tchain DOCKER-USER {\n\t\tcounter return\n\t}\n\tchain FORWARD {\n\
    \t\ttype filter hook forward priority filter; policy drop;\n\t}\n}\n";

#[test]
fn docker_is_recognised_and_our_own_table_is_not_a_conflict() {
    let flaw = only_flaw(|f| f.firewall.ruleset = DOCKER.to_owned());
    assert_eq!(
        (flaw.title.as_str(), flaw.detail.as_str()),
        (
            "Docker drops forwarded packets",
            "policy drop in `ip filter FORWARD`"
        )
    );
    assert!(flaw.remedy.contains("iptables -I DOCKER-USER -i rlxcbr0"));
    let own = "table inet rlxc {\n\tchain forward {\n\t\ttype filter hook forward priority filter; policy drop;\n\t}\n}\n";
    let mut facts = good();
    facts.firewall.ruleset = own.to_owned();
    assert_eq!(flaws(&facts), []);
}

#[test]
fn legacy_rules_and_input_chains_count_too() {
    let legacy =
        only_flaw(|f| f.firewall.legacy_forward = "-P INPUT ACCEPT\n-P FORWARD DROP\n".to_owned());
    assert!(
        legacy.remedy.contains("`iptables-legacy -I FORWARD"),
        "{}",
        legacy.remedy
    );
    let input = only_flaw(|f| {
        f.firewall.ruleset = "table inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter; policy drop;\n\t}\n}\n".to_owned();
    });
    assert_eq!(input.id, "firewall-input");
}

#[test]
fn bridge_netfilter_matters_more_beside_a_dropping_firewall() {
    let mut facts = good();
    facts.firewall = FirewallFacts {
        bridge_calls_iptables: true,
        ..FirewallFacts::default()
    };
    assert_eq!(flaws(&facts)[0].severity, Severity::Notice);
    facts.firewall.ruleset = DOCKER.to_owned();
    assert!(
        flaws(&facts)
            .iter()
            .all(|finding| finding.severity == Severity::Warning)
    );
}

#[test]
fn the_worst_comes_first() {
    let mut facts = good();
    facts.cgroup.swap = false;
    facts.kernel_release = "4.19.0".to_owned();
    let severities: Vec<_> = judge(&facts)
        .findings
        .iter()
        .map(|finding| finding.severity)
        .collect();
    assert!(severities.is_sorted_by(|a, b| a >= b), "{severities:?}");
    assert_eq!(severities[0], Severity::Error);
}

#[test]
fn instances_see_their_limits_by_lxcfs_or_by_fuse() {
    let has_view = |lxcfs: bool, fuse: bool| {
        let mut facts = good();
        facts.lxcfs = lxcfs;
        if !fuse {
            facts.devices.remove("fuse");
        }
        !flaws(&facts).iter().any(|flaw| flaw.id == "view")
    };
    assert!(has_view(true, false) && has_view(false, true));
    assert!(!has_view(false, false));
}

#[test]
fn ids_of_another_user_are_reported() {
    let flaw = only_flaw(|f| f.subuid = "anna:1500000:65536\n".to_owned());
    assert_eq!(
        (flaw.id.as_str(), flaw.detail.as_str()),
        ("subordinate-ids-overlap", "`anna` has 1500000:65536")
    );
}

#[test]
fn examines_the_real_host_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let report = examine(directory.path());
    assert!(
        report
            .findings
            .iter()
            .any(|finding| finding.id == "kernel-version")
    );
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    for finding in &report.findings {
        assert_eq!(
            finding.severity > Severity::Ok,
            !finding.cost.is_empty(),
            "{finding:?}"
        );
    }
}
