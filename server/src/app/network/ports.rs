//! Ports of the host on which proxies and forwards listen. Rules take away what comes for a port whoever listens there, so
//! what one has is refused to the next, by name.

use std::net::IpAddr;

use rlxc_container::proxy::Endpoint;
use rlxc_network::firewall::{Dnat, Ports, Transport, plan_ruleset};

use super::addresses::expanded_all;
use super::{forward, proxy, rules};
use crate::context::App;
use crate::db::instances;
use crate::error::{Error, Result};
use crate::plan::bridge::bridge_spec;
use crate::plan::forward::plan_forward;
use crate::plan::proxy::ProxyPlan;

/// Ports of one address, or of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listening {
    /// The address; the wildcard of a family stands for all of it.
    address: IpAddr,
    /// Whether the wildcard of IPv6 stands for both families.
    both: bool,
    /// All of them unless set.
    ports: Option<(Transport, Ports)>,
}

impl std::fmt::Display for Listening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some((transport, ports)) = self.ports {
            write!(f, "{} port {ports} of ", transport.as_str())?;
        }
        write!(f, "{}", self.address)
    }
}

impl Listening {
    fn meets(&self, other: &Self) -> bool {
        let is_same = self.address == other.address;
        let (Some((one, ours)), Some((another, theirs))) = (self.ports, other.ports) else {
            // What is left of an address goes to whoever has that address; a wildcard has the others.
            return is_same;
        };
        let apart = one != another || ours.last < theirs.first || theirs.last < ours.first;
        !apart && (is_same || self.covers(other) || other.covers(self))
    }

    fn covers(&self, other: &Self) -> bool {
        let is_family = self.address.is_ipv4() == other.address.is_ipv4();
        self.address.is_unspecified() && (is_family || self.both)
    }
}

/// Where a proxy listens on the host.
pub(super) fn of_plan(plan: &ProxyPlan) -> Vec<Listening> {
    match plan {
        ProxyPlan::Rules { rules, .. } => merge(rules.iter().map(of_rule)),
        ProxyPlan::Process(spec) if spec.inside => Vec::new(),
        ProxyPlan::Process(spec) => {
            let listened = spec.pairs.iter().map(|(listen, _)| listen);
            merge(listened.filter_map(of_endpoint))
        }
    }
}

fn of_rule(rule: &Dnat) -> Listening {
    let wildcard = if rule.target.is_ipv4() {
        std::net::Ipv4Addr::UNSPECIFIED.into()
    } else {
        std::net::Ipv6Addr::UNSPECIFIED.into()
    };
    Listening {
        address: rule.listen.unwrap_or(wildcard),
        both: false,
        ports: rule.ports,
    }
}

fn of_endpoint(endpoint: &Endpoint) -> Option<Listening> {
    let (transport, address) = match endpoint {
        Endpoint::Tcp(address) => (Transport::Tcp, address),
        Endpoint::Udp(address) => (Transport::Udp, address),
        Endpoint::Unix(_) | Endpoint::Abstract(_) => return None,
    };
    let (first, last) = (address.port(), address.port());
    Some(Listening {
        address: address.ip(),
        both: address.is_ipv6(),
        ports: Some((transport, Ports { first, last })),
    })
}

/// Ports in a row become ranges: a proxy may have a thousand.
fn merge(all: impl Iterator<Item = Listening>) -> Vec<Listening> {
    let mut merged: Vec<Listening> = Vec::new();
    for next in all {
        if let Some(last) = merged.last_mut()
            && let (Some((one, before)), Some((another, after))) = (&mut last.ports, next.ports)
            && last.address == next.address
            && *one == another
            && before.last.checked_add(1) == Some(after.first)
        {
            before.last = after.last;
            continue;
        }
        merged.push(next);
    }
    merged
}

/// Who wants to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker<'a> {
    /// A proxy that does so by rules: instance and device.
    Rules(i64, &'a str),
    /// A proxy that does so by a process, which the kernel keeps from others of its kind.
    Process,
    /// The forward of this address.
    Forward(&'a str),
}

/// Refuses what somebody else listens on.
pub(super) async fn refuse_taken(
    app: &App,
    asker: Asker<'_>,
    project: &str,
    wanted: &[Listening],
) -> Result<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    let is_wanted = |theirs: &[Listening]| {
        let clash = |own: &&Listening| theirs.iter().any(|their| their.meets(own));
        wanted.iter().find(clash).copied()
    };
    let taken =
        |what: Listening, by: String| Err(Error::Conflict(format!("{what} is taken by {by}")));
    for (instance, device, rules) in rules::proxies(app) {
        if asker == Asker::Rules(instance, &device) {
            continue;
        }
        if let Some(what) = is_wanted(&merge(rules.iter().map(of_rule))) {
            return taken(what, proxy_name(app, project, (instance, &device)).await);
        }
    }
    for (listen, network, theirs) in forwards(app).await? {
        if asker != Asker::Forward(&listen)
            && let Some(what) = is_wanted(&theirs)
        {
            return taken(what, format!("forward {listen} of network `{network}`"));
        }
    }
    if asker == Asker::Process {
        return Ok(());
    }
    for (key, theirs) in processes(app).await? {
        if let Some(what) = is_wanted(&theirs) {
            return taken(what, proxy_name(app, project, (key.0, &key.1)).await);
        }
    }
    Ok(())
}

/// The proxy whose process listens on one of these, other than this one.
pub(super) async fn process_on(
    app: &App,
    own: (i64, &str),
    project: &str,
    wanted: &[Listening],
) -> Option<String> {
    let all = processes(app).await.ok()?;
    let mut others = all
        .iter()
        .filter(|((id, device), _)| (*id, device.as_str()) != own);
    let clash = |theirs: &[Listening]| {
        wanted
            .iter()
            .any(|one| theirs.iter().any(|their| their.meets(one)))
    };
    let (key, _) = others.find(|(_, theirs)| clash(theirs))?;
    Some(proxy_name(app, project, (key.0, &key.1)).await)
}

/// Names of one project are nothing for another.
async fn proxy_name(app: &App, project: &str, (instance, device): (i64, &str)) -> String {
    let row = app
        .db
        .read(move |tx| instances::find_by_id(tx, instance))
        .await;
    match row {
        Ok(Some(row)) if row.project == project => {
            format!("proxy `{device}` of instance `{}`", row.name)
        }
        _ => "a proxy of another project".to_owned(),
    }
}

async fn forwards(app: &App) -> Result<Vec<(String, String, Vec<Listening>)>> {
    let (forwards, all) = forward::all_with_networks(app).await?;
    let read = |forward: &crate::model::NetworkForward| {
        let network = all.iter().find(|network| network.id == forward.network)?;
        let spec = bridge_spec(&network.name, &network.config).ok()?;
        let rules = plan_forward(forward, &plan_ruleset(&spec).subnets).ok()?;
        let listening = merge(rules.iter().map(of_rule));
        Some((
            forward.listen_address.clone(),
            network.name.clone(),
            listening,
        ))
    };
    Ok(forwards.iter().filter_map(read).collect())
}

/// The proxies whose processes run, and where they listen on the host.
async fn processes(app: &App) -> Result<Vec<((i64, String), Vec<Listening>)>> {
    let mut found = Vec::new();
    for (instance, expanded) in app.db.read(expanded_all).await? {
        if app.instances.status(instance.id).running.is_none() {
            continue;
        }
        for device in proxy::proxies(&expanded.devices) {
            let Ok(plan) = proxy::plan(app, &instance, &expanded.devices, device) else {
                continue;
            };
            if let ProxyPlan::Process(spec) = &plan
                && app.runtime.is_proxy_running(&spec.lock)
            {
                found.push(((instance.id, device.clone()), of_plan(&plan)));
            }
        }
    }
    Ok(found)
}

/// Where a forward listens.
pub(super) fn of_forward(rules: &[Dnat]) -> Vec<Listening> {
    merge(rules.iter().map(of_rule))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::proxy::parse_endpoints;

    fn plain(text: &str) -> Vec<Listening> {
        let endpoints = parse_endpoints(text).unwrap();
        merge(endpoints.iter().filter_map(of_endpoint))
    }

    fn whole(address: &str) -> Vec<Listening> {
        let address = address.parse().unwrap();
        vec![Listening {
            address,
            both: false,
            ports: None,
        }]
    }

    fn clash(one: &[Listening], another: &[Listening]) -> bool {
        let all = |a: &Listening| another.iter().any(|b| a.meets(b));
        let found = one.iter().any(all);
        let turned = another.iter().any(|b| one.iter().any(|a| b.meets(a)));
        assert_eq!(found, turned, "{one:?} {another:?}");
        found
    }

    #[test]
    fn ports_in_a_row_are_one_range() {
        assert_eq!(plain("tcp:0.0.0.0:80-90,95").len(), 2);
        assert_eq!(
            plain("tcp:0.0.0.0:80-90")[0].to_string(),
            "tcp port 80-90 of 0.0.0.0"
        );
        assert_eq!(plain("tcp:0.0.0.0:65535").len(), 1);
    }

    #[test]
    fn a_port_is_one_listeners() {
        for (one, another, taken) in [
            ("tcp:192.0.2.1:80", "tcp:192.0.2.1:80", true),
            ("tcp:192.0.2.1:80", "udp:192.0.2.1:80", false),
            ("tcp:192.0.2.1:80", "tcp:192.0.2.2:80", false),
            ("tcp:192.0.2.1:80", "tcp:192.0.2.1:81", false),
            ("tcp:192.0.2.1:80-90", "tcp:192.0.2.1:90-99", true),
            ("tcp:0.0.0.0:80", "tcp:192.0.2.1:80", true),
            ("tcp:[::]:80", "tcp:192.0.2.1:80", true),
            ("tcp:[::]:80", "tcp:[fd42::1]:80", true),
            ("tcp:0.0.0.0:80", "tcp:[fd42::1]:80", false),
        ] {
            assert_eq!(
                clash(&plain(one), &plain(another)),
                taken,
                "{one} {another}"
            );
        }
        assert!(clash(&whole("192.0.2.1"), &plain("udp:192.0.2.1:53")));
        assert!(!clash(&whole("192.0.2.1"), &plain("tcp:0.0.0.0:80")));
    }
}
