//! `security.syscalls.*`: which system calls an instance is refused.

use rlxc_container::seccomp;
use rlxc_container::spec::SeccompPolicy;

use crate::keys::parse_bool;
use crate::model::Config;

/// What a call is refused with that a policy of LXD has for a line without an error.
const EPERM: u16 = 1;

/// The policy of an instance. An error says which key is wrong.
pub fn plan_syscalls(config: &Config) -> Result<SeccompPolicy, String> {
    let value = |key: &str, former: &str| {
        let named = |name: &str| config.get(&format!("security.syscalls.{name}"));
        named(key).or_else(|| named(former))
    };
    let flag = |key, former, usual| {
        value(key, former)
            .and_then(|text| parse_bool(text))
            .unwrap_or(usual)
    };
    let list = |key, former| parse_calls(value(key, former).map_or("", String::as_str));
    let (denied, allowed) = (list("deny", "blacklist")?, list("allow", "whitelist")?);
    let deny_compat = flag("deny_compat", "blacklist_compat", false);
    if !allowed.is_empty() && (!denied.is_empty() || deny_compat) {
        return Err(
            "`security.syscalls.allow` refuses all but what it lists: it goes without `security.syscalls.deny` and \
             `security.syscalls.deny_compat`"
                .to_owned(),
        );
    }
    let without_default = !flag("deny_default", "blacklist_default", true);
    let mut policy = SeccompPolicy {
        allow: allowed.into_iter().map(|(name, _)| name).collect(),
        deny_compat,
        without_default,
        off: false,
        ..SeccompPolicy::default()
    };
    for (name, errno) in denied {
        match errno {
            Some(errno) => policy.deny_with.push((name, errno)),
            None => policy.deny.push(name),
        }
    }
    policy.off = without_default
        && !deny_compat
        && policy.allow.is_empty()
        && policy.deny.is_empty()
        && policy.deny_with.is_empty();
    Ok(policy)
}

/// Whether a value lists system calls.
pub fn is_calls(text: &str) -> bool {
    parse_calls(text).is_ok()
}

/// One call a line, as LXC writes them: `mkdir`, or `mkdir errno 1`.
fn parse_calls(text: &str) -> Result<Vec<(String, Option<u16>)>, String> {
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(parse_call)
        .collect()
}

fn parse_call(line: &str) -> Result<(String, Option<u16>), String> {
    let mut words = line.split_whitespace();
    let name = words.next().unwrap_or_default();
    if !seccomp::is_call(name) {
        return Err(format!("`{name}` is not a system call"));
    }
    let errno = match (words.next(), words.next(), words.next()) {
        (None, ..) => None,
        (Some("errno"), None, _) => Some(EPERM),
        (Some("errno"), Some(number), None) => Some(
            number
                .parse()
                .ok()
                .filter(|number| *number < 4096)
                .ok_or_else(|| format!("`{number}` is not the number of an error, see errno(3)"))?,
        ),
        _ => {
            return Err(format!(
                "`{line}` is neither a system call nor one with `errno` and a number: arguments and other actions are not supported"
            ));
        }
    };
    Ok((name.to_owned(), errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(pairs: &[(&str, &str)]) -> Result<SeccompPolicy, String> {
        let pairs = pairs.iter();
        let key = |name: &str| format!("security.syscalls.{name}");
        plan_syscalls(
            &pairs
                .map(|(name, value)| (key(name), (*value).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn nothing_said_is_the_default() {
        assert_eq!(plan(&[]).unwrap(), SeccompPolicy::default());
        assert!(plan(&[("deny_default", "false")]).unwrap().off);
    }

    #[test]
    fn former_names_are_understood() {
        let policy = plan(&[
            ("blacklist", "mkdir\nrmdir errno 13"),
            ("blacklist_default", "no"),
        ]);
        let policy = policy.unwrap();
        assert_eq!(policy.deny, ["mkdir"]);
        assert_eq!(policy.deny_with, [("rmdir".to_owned(), 13)]);
        assert!(policy.without_default && !policy.off);
    }

    #[test]
    fn nonsense_is_named() {
        for (keys, wrong) in [
            (&[("deny", "fly")][..], "`fly` is not a system call"),
            (
                &[("deny", "mkdir errno x")],
                "`x` is not the number of an error",
            ),
            (&[("deny", "mkdir kill")], "`mkdir kill` is neither"),
            (&[("allow", "read"), ("deny", "write")], "goes without"),
        ] {
            let error = plan(keys).unwrap_err();
            assert!(error.contains(wrong), "{error}");
        }
    }
}
