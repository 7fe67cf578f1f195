//! Whether a process that runs can be given other resource limits: who lacks `CAP_SYS_RESOURCE` can lower what is hard,
//! and not raise it, see setrlimit(2). Pure.

use std::collections::BTreeMap;

use super::limits::Rlimit;

/// Rows of `/proc/PID/limits`, see proc(5), and how setrlimit(2) calls them.
const ROWS: [(&str, &str); 16] = [
    ("Max cpu time", "cpu"),
    ("Max file size", "fsize"),
    ("Max data size", "data"),
    ("Max stack size", "stack"),
    ("Max core file size", "core"),
    ("Max resident set", "rss"),
    ("Max processes", "nproc"),
    ("Max open files", "nofile"),
    ("Max locked memory", "memlock"),
    ("Max address space", "as"),
    ("Max file locks", "locks"),
    ("Max pending signals", "sigpending"),
    ("Max msgqueue size", "msgqueue"),
    ("Max nice priority", "nice"),
    ("Max realtime priority", "rtprio"),
    ("Max realtime timeout", "rttime"),
];

/// Hard limits of a process by their names; `u64::MAX` is "unlimited".
pub type Hard = BTreeMap<&'static str, u64>;

/// Reads `/proc/PID/limits`.
pub fn parse(text: &str) -> Hard {
    let row = |line: &str| {
        let (rest, name) = ROWS
            .iter()
            .find_map(|(title, name)| Some((line.strip_prefix(title)?, *name)))?;
        let hard = rest.split_whitespace().nth(1)?;
        let hard = match hard {
            "unlimited" => u64::MAX,
            number => number.parse().ok()?,
        };
        Some((name, hard))
    };
    text.lines().filter_map(row).collect()
}

/// Refuses to raise what is hard. `now` is what init has, `own` what it gets of a limit that is not named any more.
pub fn check(
    instance: &str,
    (now, own): (&Hard, &Hard),
    (before, after): (&[Rlimit], &[Rlimit]),
) -> Result<(), String> {
    let named = |name: &str| after.iter().any(|(other, ..)| other == name);
    let lifted = before.iter().filter(|(name, ..)| !named(name));
    let lifted = lifted.filter_map(|(name, ..)| Some((name, *own.get(name.as_str())?)));
    let wanted = after.iter().map(|(name, _, hard)| (name, *hard));
    for (name, hard) in wanted.chain(lifted) {
        let Some(has) = now.get(name.as_str()).filter(|has| hard > **has) else {
            continue;
        };
        let way = if own.get(name.as_str()).is_some_and(|most| hard <= *most) {
            "do it while the instance is stopped"
        } else {
            "it is more than the daemon itself may have"
        };
        return Err(format!(
            "`limits.kernel.{name}`: the hard limit of instance `{instance}` is {} and would be {}; to raise it rlxcd \
             needs CAP_SYS_RESOURCE, which it lacks here: {way}",
            text(*has),
            text(hard)
        ));
    }
    Ok(())
}

fn text(limit: u64) -> String {
    match limit {
        u64::MAX => "unlimited".to_owned(),
        number => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "\
Limit                     Soft Limit           Hard Limit           Units
Max cpu time              unlimited            unlimited            seconds
Max processes             100                  200                  processes
Max open files            1000                 2000                 files
Max nice priority         0                    0
";

    fn limits(all: &[(&str, u64)]) -> Vec<Rlimit> {
        all.iter()
            .map(|(name, hard)| ((*name).to_owned(), 1, *hard))
            .collect()
    }

    #[test]
    fn hard_limits_are_read_by_name() {
        let expected = [
            ("cpu", u64::MAX),
            ("nice", 0),
            ("nofile", 2000),
            ("nproc", 200),
        ];
        assert_eq!(parse(NOW), Hard::from(expected));
    }

    #[test]
    fn what_is_hard_is_not_raised() {
        let (now, own) = (parse(NOW), Hard::from([("nofile", 4000), ("nproc", 200)]));
        let check = |before: &[(&str, u64)], after: &[(&str, u64)]| {
            check("c1", (&now, &own), (&limits(before), &limits(after)))
        };
        assert_eq!(check(&[], &[("nofile", 2000), ("cpu", u64::MAX)]), Ok(()));
        assert_eq!(check(&[("nproc", 200)], &[]), Ok(()), "it gets the same");
        for (before, after, expected) in [
            (
                vec![],
                vec![("nofile", 10), ("nproc", u64::MAX)],
                "`limits.kernel.nproc`: the hard limit of instance `c1` is 200 and would be unlimited",
            ),
            (
                vec![],
                vec![("nofile", 3000)],
                "while the instance is stopped",
            ),
            (vec![("nofile", 2000)], vec![], "is 2000 and would be 4000"),
        ] {
            let wrong = check(&before, &after).unwrap_err();
            assert!(wrong.contains(expected), "{wrong}");
        }
    }
}
