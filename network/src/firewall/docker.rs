//! Docker sets the policy of iptables' FORWARD chain to drop, which cuts off every other bridge of the host. The chain
//! `DOCKER-USER` is where it wants administrators to let other traffic pass; see Docker's page on packet filtering.
//!
//! The rules carry the name of the network's table as a comment, by which they are found again.

use rlxc_sys::tool::{self, Tool, ToolError};

use super::Ruleset;

const CHAIN: &str = "DOCKER-USER";

/// Lets the bridge's traffic pass Docker's firewall, where there is one.
pub(super) fn apply(tag: &str, ruleset: &Ruleset) -> Result<(), ToolError> {
    for (program, wanted) in [
        ("iptables", ruleset.pass_ipv4),
        ("ip6tables", ruleset.pass_ipv6),
    ] {
        let Some(rules) = chain(program)? else {
            continue;
        };
        let present = tagged(&rules, tag);
        let missing = wanted_rules(tag, &ruleset.bridge, wanted);
        for rule in present.iter().filter(|rule| !missing.contains(rule)) {
            change(program, "-D", rule)?;
        }
        for rule in missing.iter().filter(|rule| !present.contains(rule)) {
            change(program, "-I", rule)?;
        }
    }
    Ok(())
}

/// Whether [`apply`] would change nothing. Docker may have been started since.
pub(super) fn is_applied(tag: &str, ruleset: &Ruleset) -> Result<bool, ToolError> {
    for (program, wanted) in [
        ("iptables", ruleset.pass_ipv4),
        ("ip6tables", ruleset.pass_ipv6),
    ] {
        let Some(rules) = chain(program)? else {
            continue;
        };
        let mut wanted = wanted_rules(tag, &ruleset.bridge, wanted);
        let mut present = tagged(&rules, tag);
        wanted.sort();
        present.sort();
        if present != wanted {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Takes away what [`apply`] added.
pub(super) fn remove(tag: &str) -> Result<(), ToolError> {
    for program in ["iptables", "ip6tables"] {
        let Some(rules) = chain(program)? else {
            continue;
        };
        for rule in tagged(&rules, tag) {
            change(program, "-D", &rule)?;
        }
    }
    Ok(())
}

/// The rules of the chain as iptables-save(8) writes them; `None` without iptables or without Docker.
fn chain(program: &str) -> Result<Option<String>, ToolError> {
    if tool::find(program).is_none() {
        return Ok(None);
    }
    match Tool::new(program).args(["-w", "-S", CHAIN]).run() {
        Ok(text) => Ok(Some(String::from_utf8_lossy(&text).into_owned())),
        Err(ToolError::Failed { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn change(program: &str, action: &str, rule: &str) -> Result<(), ToolError> {
    Tool::new(program)
        .args(["-w", action, CHAIN])
        .args(rule.split(' '))
        .run()
        .map(drop)
}

fn wanted_rules(tag: &str, bridge: &str, wanted: bool) -> Vec<String> {
    let directions = if wanted { &["-i", "-o"][..] } else { &[] };
    directions
        .iter()
        .map(|side| format!("{side} {bridge} -m comment --comment {tag} -j ACCEPT"))
        .collect()
}

/// Our rules for one network, without the leading `-A CHAIN`.
fn tagged(rules: &str, tag: &str) -> Vec<String> {
    rules
        .lines()
        .filter_map(|line| {
            line.strip_prefix("-A ")?
                .strip_prefix(CHAIN)?
                .strip_prefix(' ')
        })
        .map(|rule| rule.replace('"', ""))
        .filter(|rule| rule.split(' ').any(|word| word == tag))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_its_own_rules_again() {
        let rules = "-N DOCKER-USER\n\
            -A DOCKER-USER -o br0 -m comment --comment rlxc_br0 -j ACCEPT\n\
            -A DOCKER-USER -i br0 -m comment --comment \"rlxc_br0\" -j ACCEPT\n\
            -A DOCKER-USER -i br1 -m comment --comment rlxc_br01 -j ACCEPT\n\
            -A DOCKER-USER -j RETURN\n";
        let mut found = tagged(rules, "rlxc_br0");
        found.sort();
        assert_eq!(found, wanted_rules("rlxc_br0", "br0", true));
    }
}
