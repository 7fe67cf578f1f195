use std::collections::BTreeSet;

use rlxc_container::cgroup::Support;

use super::*;

fn config(pairs: &[(&str, &str)]) -> Config {
    let pairs = pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    pairs.collect()
}

fn host(legacy: bool) -> HostFacts {
    let all = [
        Controller::Memory,
        Controller::Pids,
        Controller::Cpu,
        Controller::Cpuset,
        Controller::Io,
        Controller::Hugetlb,
    ];
    let controllers = BTreeSet::from(all);
    HostFacts {
        memory: 8 << 30,
        cpus: (0..4).collect(),
        nodes: BTreeMap::from([(0, (0..4).collect())]),
        support: Support {
            legacy: if legacy {
                controllers.clone()
            } else {
                BTreeSet::new()
            },
            controllers,
            swap: true,
            io_weight: false,
            huge_pages: BTreeSet::from(["2MB".to_owned()]),
        },
        may_raise_rlimits: true,
    }
}

fn plan(pairs: &[(&str, &str)], legacy: bool) -> LimitPlan {
    plan_limits(&config(pairs), Vec::new(), &host(legacy)).unwrap()
}

fn refused(pairs: &[(&str, &str)]) -> String {
    plan_limits(&config(pairs), Vec::new(), &host(true)).unwrap_err()
}

#[test]
fn shares_and_times() {
    let weight = |pairs: &[(&str, &str)]| plan(pairs, false).limits.cpu_weight;
    assert_eq!(weight(&[("limits.cpu.allowance", "50%")]), Some(50));
    assert_eq!(weight(&[("limits.cpu.priority", "3")]), Some(93));
    let both = [("limits.cpu.allowance", "5%"), ("limits.cpu.priority", "0")];
    assert_eq!(weight(&both), Some(1));
    let time = plan(&[("limits.cpu.allowance", "25ms/100ms")], false)
        .limits
        .cpu_time;
    let expected = CpuTime {
        quota_us: 25_000,
        period_us: 100_000,
    };
    assert_eq!(time, Some(expected));
}

#[test]
fn memory_and_swap_on_both_versions() {
    let limits = plan(
        &[("limits.memory", "50%"), ("limits.memory.swap", "1GiB")],
        true,
    )
    .limits;
    assert_eq!((limits.memory, limits.swap), (Some(4 << 30), Some(1 << 30)));
    let soft = [("limits.memory", "1GiB"), ("limits.memory.enforce", "soft")];
    let limits = plan(&soft, false).limits;
    assert_eq!((limits.memory, limits.memory_soft), (None, Some(1 << 30)));
    let never = plan(&[("limits.memory.swap", "false")], false).limits;
    assert_eq!(never.swap, Some(0));
    let old = plan(&[("limits.memory.swap.priority", "4")], true);
    assert_eq!((old.limits.swappiness, old.unmet), (Some(54), vec![]));
    let new = plan(&[("limits.memory.swap.priority", "4")], false);
    assert!(new.unmet[0].starts_with("`limits.memory.swap.priority`"));
}

#[test]
fn what_can_only_be_partly_had_is_told() {
    for (key, value) in [
        ("limits.cpu", "9"),
        ("limits.cpu", "3-5"),
        ("limits.disk.priority", "3"),
    ] {
        let unmet = plan(&[(key, value)], false).unmet;
        assert!(unmet[0].starts_with(&format!("`{key}")), "{unmet:?}");
    }
    assert_eq!(
        plan(&[("limits.cpu", "4")], false).unmet,
        Vec::<String>::new()
    );
}

#[test]
fn what_cannot_be_had_is_refused_by_name() {
    for (pairs, expected) in [
        (
            &[("limits.cpu", "7-8")][..],
            "`limits.cpu=7-8`: this host has 4 processors (0-3)",
        ),
        (&[("limits.cpu", "0")], "no processor"),
        (&[("limits.cpu.nodes", "1")], "no NUMA node 1, but 0"),
        (
            &[("limits.cpu.allowance", "half")],
            "`limits.cpu.allowance=half`",
        ),
        (
            &[("limits.hugepages.1GB", "1GiB")],
            "no huge pages of that size, but 2MB",
        ),
        (&[("limits.memory.swap", "1GiB")], "needs `limits.memory`"),
        (
            &[("limits.kernel.nofile", "many")],
            "`limits.kernel.nofile=many`",
        ),
    ] {
        let error = refused(pairs);
        assert!(error.contains(expected), "{error}");
    }
    let bare = HostFacts::default();
    let error = plan_limits(&config(&[("limits.processes", "5")]), Vec::new(), &bare).unwrap_err();
    assert!(
        error.contains("`limits.processes`") && error.contains("`pids`"),
        "{error}"
    );
}

#[test]
fn more_than_the_host_has_is_refused_when_it_is_asked_for() {
    let check = |before: &[(&str, &str)], after: &[(&str, &str)]| {
        check_host(&config(before), &config(after), &host(true))
    };
    for (key, value) in [
        ("limits.memory", "9GiB"),
        ("limits.cpu", "5"),
        ("limits.cpu", "0-4"),
    ] {
        let error = check(&[], &[(key, value)]).unwrap_err();
        assert!(
            error.contains(key) && error.contains("this host has"),
            "{error}"
        );
        assert_eq!(
            check(&[(key, value)], &[(key, value)]),
            Ok(()),
            "it had that before"
        );
    }
    assert_eq!(
        check(&[], &[("limits.memory", "8GiB"), ("limits.cpu", "4")]),
        Ok(())
    );
    let swap = ("limits.memory.swap", "1GiB");
    assert_eq!(
        check(
            &[("limits.memory", "1GiB")],
            &[("limits.memory", "1GiB"), swap]
        ),
        Ok(())
    );
}
