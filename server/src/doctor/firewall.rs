//! Judges what else filters packets on the host: Docker, ufw, firewalld. Pure.
//!
//! Verdicts of nftables are per table: our own can't accept what another table drops (nft(8), "CHAINS"), so a policy of
//! `drop` elsewhere cuts instances off, whoever set it.

use rlxc_api::{DoctorFinding, Severity};

use super::facts::{Facts, FirewallFacts};
use super::finding::{Described as _, fine, flaw};

pub(super) fn judge(facts: &Facts) -> Vec<DoctorFinding> {
    let firewall = &facts.firewall;
    let dropping = find_dropping(firewall);
    let mut findings: Vec<_> = dropping
        .iter()
        .map(|chain| drops_forwarded(firewall, chain))
        .collect();
    if findings.is_empty() {
        findings.push(fine(
            "firewall-forward",
            "no other firewall stops the instances' traffic",
            "",
        ));
    }
    findings.extend(rejects_dhcp(firewall));
    findings.extend(bridge(firewall, !dropping.is_empty()));
    findings
}

/// Chains with the forward hook and the policy `drop`, as `ip filter FORWARD`, tables of ours left out.
fn find_dropping(firewall: &FirewallFacts) -> Vec<String> {
    let mut chains = base_chains(&firewall.ruleset, "hook forward", "policy drop");
    if firewall
        .legacy_forward
        .lines()
        .any(|line| line.trim() == "-P FORWARD DROP")
    {
        chains.push("iptables-legacy filter FORWARD".to_owned());
    }
    chains
}

fn base_chains(ruleset: &str, hook: &str, policy: &str) -> Vec<String> {
    let (mut table, mut chain, mut found) = ("", "", Vec::new());
    for line in ruleset.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("table ") {
            table = name.trim_end_matches(" {");
        } else if let Some(name) = line.strip_prefix("chain ") {
            chain = name.trim_end_matches(" {");
        } else if line.contains(hook) && line.contains(policy) {
            let name = table.split(' ').nth(1).unwrap_or_default();
            if name != "rlxc" && !name.starts_with("rlxc-") {
                found.push(format!("{table} {chain}"));
            }
        }
    }
    found
}

fn drops_forwarded(firewall: &FirewallFacts, chain: &str) -> DoctorFinding {
    let ruleset = &firewall.ruleset;
    let docker =
        ruleset.contains("chain DOCKER-USER") || firewall.legacy_forward.contains("DOCKER-USER");
    let accept = |tool: &str, chain: &str| {
        format!(
            "`{tool} -I {chain} -i rlxcbr0 -j ACCEPT && {tool} -I {chain} -o rlxcbr0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`"
        )
    };
    let tool = if chain.starts_with("iptables-legacy") {
        "iptables-legacy"
    } else if chain.starts_with("ip6 ") {
        "ip6tables"
    } else {
        "iptables"
    };
    let (who, mend) = if ruleset.contains("chain ufw-before-forward")
        || ruleset.contains("chain ufw6-before-forward")
    {
        (
            "ufw",
            "`ufw route allow in on rlxcbr0 && ufw route allow out on rlxcbr0`".to_owned(),
        )
    } else if docker {
        ("Docker", accept(tool, "DOCKER-USER"))
    } else if chain.contains("firewalld") {
        ("firewalld", "`firewall-cmd --permanent --zone=trusted --add-interface=rlxcbr0 && firewall-cmd --reload`".to_owned())
    } else if chain.starts_with("inet ") {
        (
            "another firewall",
            format!(
                "`nft insert rule {chain} iifname rlxcbr0 accept && nft insert rule {chain} oifname rlxcbr0 accept`"
            ),
        )
    } else {
        ("another firewall", accept(tool, "FORWARD"))
    };
    flaw(
        Severity::Warning,
        "firewall-forward",
        &format!("{who} drops forwarded packets"),
        format!("policy drop in `{chain}`"),
    )
    .costs("instances on managed bridges may not reach the outside")
    .mend(mend)
}

fn rejects_dhcp(firewall: &FirewallFacts) -> Vec<DoctorFinding> {
    let chains = base_chains(&firewall.ruleset, "hook input", "policy drop");
    chains
        .into_iter()
        .map(|chain| {
            let ufw = firewall.ruleset.contains("chain ufw-before-input");
            let mend = if ufw {
                "`ufw allow in on rlxcbr0`".to_owned()
            } else {
                format!("`nft insert rule {chain} iifname rlxcbr0 meta l4proto {{ tcp, udp }} th dport {{ 53, 67, 547 }} accept`")
            };
            flaw(Severity::Warning, "firewall-input", "a firewall drops packets to this host", format!("policy drop in `{chain}`"))
                .costs("instances on managed bridges may get no address and no DNS")
                .mend(mend)
        })
        .collect()
}

fn bridge(firewall: &FirewallFacts, dropping: bool) -> Option<DoctorFinding> {
    if !firewall.bridge_calls_iptables {
        return None;
    }
    let severity = if dropping {
        Severity::Warning
    } else {
        Severity::Notice
    };
    let detail = "net.bridge.bridge-nf-call-iptables = 1 (module br_netfilter)";
    Some(
        flaw(severity, "bridge-netfilter", "packets between instances pass through the host's firewall", detail)
            .costs("slower, and rules for forwarded packets also hold between instances of one bridge")
            .mend("`sysctl -w net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0`, unless Kubernetes or Docker on this host needs it"),
    )
}
