//! What a zone says: addresses of instances and networks, forward or reverse, and the records that users wrote.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use rlxc_network::authority::{Peer, Zone, ZoneRecord};
use rlxc_network::{Mac, ipam};

use super::record;
use crate::app::network::{expanded_all, in_project, leases};
use crate::context::App;
use crate::db::{network_zones, networks, projects};
use crate::error::Result;
use crate::keys::{is_true, network::is_domain, parse_bool, zone::parse_secret};
use crate::model::{Config, Network, NetworkZone};
use crate::plan::bridge::bridge_spec;
use crate::plan::nic::is_on;
use crate::plan::project::Feature;

const TTL: u32 = 300;

/// The last serial of each zone, and the hash of what the zone said then.
#[derive(Debug, Default)]
pub struct Serials(Mutex<HashMap<String, (u64, u32)>>);

impl Serials {
    /// The serial of a zone: greater than before if it says something else than before, and than it was in any earlier life
    /// of the daemon, since that was seconds of the clock as well.
    fn of(&self, zone: &Zone, now: u32) -> u32 {
        let mut hasher = DefaultHasher::new();
        (&zone.nameservers, &zone.records).hash(&mut hasher);
        let hash = hasher.finish();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let serial = match known.get(&zone.name) {
            Some((same, serial)) if *same == hash => *serial,
            Some((_, serial)) => now.max(serial.wrapping_add(1)),
            None => now,
        };
        known.insert(zone.name.clone(), (hash, serial));
        serial
    }
}

/// A zone, whole; `None` if there is none of this name, or none of its peers can be who asks.
pub async fn load(app: &App, name: &str, asker: IpAddr) -> Result<Option<Zone>> {
    let key = name.to_owned();
    let Some(zone) = app.db.read(move |tx| network_zones::find(tx, &key)).await? else {
        return Ok(None);
    };
    let peers = peers(&zone.config);
    if !peers.iter().any(|peer| peer.may_be_at(asker)) {
        return Ok(None);
    }
    let mut records = Vec::new();
    for network in app.db.read(networks::list).await? {
        if network.is_bridge() && super::named(&network.config).any(|(_, named)| named == name) {
            records.extend(of_network(app, &zone, &network).await?);
        }
    }
    let id = zone.id;
    let written = app
        .db
        .read(move |tx| network_zones::list_records(tx, id))
        .await?;
    records.extend(written.iter().flat_map(record::entries));
    let mut seen = HashSet::new();
    records.retain(|record| seen.insert(record.clone()));
    let servers = value(&zone.config, "dns.nameservers");
    let mut whole = Zone {
        serial: 0,
        nameservers: list(servers).map(str::to_owned).collect(),
        peers,
        name: zone.name,
        records,
    };
    let now = u32::try_from(app.clock.now().as_second()).unwrap_or(u32::MAX);
    whole.serial = app.dns.serials.of(&whole, now);
    Ok(Some(whole))
}

fn value<'a>(config: &'a Config, key: &str) -> &'a str {
    config.get(key).map_or("", String::as_str)
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
}

fn peers(config: &Config) -> Vec<Peer> {
    let mut peers: Vec<Peer> = Vec::new();
    for (key, value) in config {
        let Some((name, what)) = key
            .strip_prefix("peers.")
            .and_then(|rest| rest.rsplit_once('.'))
        else {
            continue;
        };
        let place = peers.iter().position(|peer| peer.name == name);
        let place = place.unwrap_or_else(|| {
            let name = name.to_owned();
            peers.push(Peer {
                name,
                address: None,
                key: None,
            });
            peers.len() - 1
        });
        if let Some(peer) = peers.get_mut(place) {
            match what {
                "address" => peer.address = value.parse().ok(),
                _ => peer.key = parse_secret(value),
            }
        }
    }
    peers
}

/// What a network has to say in a zone.
async fn of_network(app: &App, zone: &NetworkZone, network: &Network) -> Result<Vec<ZoneRecord>> {
    let forward: Vec<&str> = list(value(&network.config, "dns.zone.forward")).collect();
    let names = forward.iter().map(ToString::to_string).collect::<Vec<_>>();
    // The project of each forward zone, which tells whose instances it has.
    let known = app
        .db
        .read(move |tx| {
            let found = names.iter().map(|name| network_zones::find(tx, name));
            found.collect::<Result<Vec<_>, _>>()
        })
        .await?;
    let known: Vec<NetworkZone> = known.into_iter().flatten().collect();
    let with_nat = zone
        .config
        .get("network.nat")
        .is_none_or(|text| parse_bool(text) != Some(false));
    let mut records = Vec::new();
    for host in hosts(app, network).await? {
        let Host { address, .. } = &host;
        let (family, kind) = if address.is_ipv4() {
            ("ipv4", "A")
        } else {
            ("ipv6", "AAAA")
        };
        if !with_nat && is_true(&network.config, &format!("{family}.nat")) {
            continue;
        }
        if forward.contains(&zone.name.as_str()) && host.is_of(zone) {
            records.push(entry(host.name_in(zone), kind, address.to_string()));
        }
        let reverse = value(&network.config, &format!("dns.zone.reverse.{family}")) == zone.name;
        let relative = reverse_name(*address);
        let relative = relative.strip_suffix(&format!(".{}", zone.name));
        let domain = known.iter().find(|domain| host.is_of(domain));
        if let (true, Some(relative), Some(domain)) = (reverse, relative, domain) {
            let name = format!("{}.{}.", host.name_in(domain), domain.name);
            records.push(entry(relative.to_owned(), "PTR", name));
        }
    }
    Ok(records)
}

fn entry(name: String, kind: &str, value: String) -> ZoneRecord {
    ZoneRecord {
        name,
        ttl: TTL,
        kind: kind.to_owned(),
        value,
    }
}

/// Who has an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Host {
    name: String,
    /// The instance's, whose name is its own in it, and the one whose zones it uses; nothing of what is no instance.
    project: Option<(String, String)>,
    address: IpAddr,
}

impl Host {
    /// Whether it belongs in a zone: what is no instance is in all.
    fn is_of(&self, zone: &NetworkZone) -> bool {
        let project = self.project.as_ref();
        project.is_none_or(|(_, zones)| *zones == zone.project)
    }

    /// Its name in a zone: instances of other projects than the zone's have the project in it.
    fn name_in(&self, zone: &NetworkZone) -> String {
        match &self.project {
            Some((project, _)) if *project != zone.project => in_project(&self.name, project),
            _ => self.name.clone(),
        }
    }
}

/// Names and addresses on a network: leased, fixed, chosen by the instances themselves, and the network's own.
async fn hosts(app: &App, network: &Network) -> Result<Vec<Host>> {
    let owners = app.db.read(zone_owners).await?;
    let spec = bridge_spec(&network.name, &network.config).unwrap_or_default();
    // The subnet in which instances choose their own addresses.
    let chosen = spec
        .ipv6
        .filter(|net| !spec.ipv6_stateful && net.prefix_len() <= 64);
    let mut all = Vec::new();
    let mut nics: HashMap<String, (String, (String, String))> = HashMap::new();
    for (instance, expanded) in app.db.read(expanded_all).await? {
        let zones = owners.get(&instance.project).cloned();
        let project = (instance.project, zones.unwrap_or_default());
        for (device, keys) in &expanded.devices {
            let key = format!("volatile.{device}.hwaddr");
            let hwaddr = keys.get("hwaddr").or_else(|| expanded.config.get(&key));
            let hwaddr = hwaddr.and_then(|text| text.parse::<Mac>().ok());
            let (true, Some(mac)) = (is_on(keys, network), hwaddr) else {
                continue;
            };
            nics.insert(mac.to_string(), (instance.name.clone(), project.clone()));
            all.extend(chosen.map(|prefix| Host {
                name: instance.name.clone(),
                project: Some(project.clone()),
                address: ipam::eui64(prefix, mac).into(),
            }));
        }
    }
    for lease in leases(app, &network.name).await? {
        let Ok(address) = lease.address.parse() else {
            continue;
        };
        let (name, project) = match nics.get(&lease.hwaddr).cloned() {
            Some((name, project)) => (name, Some(project)),
            None => (lease.hostname, None),
        };
        all.push(Host {
            name,
            project,
            address,
        });
    }
    // A client of DHCP may call itself whatever it likes.
    all.retain(|host| is_domain(&host.name));
    all.sort();
    all.dedup();
    Ok(all)
}

/// The project whose zones each project uses.
fn zone_owners(tx: &rusqlite::Transaction<'_>) -> Result<HashMap<String, String>> {
    let all = projects::list(tx)?.into_iter().map(|project| {
        let own = project.name == "default" || Feature::Zones.is_on(&project.config);
        let owner = if own { &project.name } else { "default" };
        (project.name.clone(), owner.to_owned())
    });
    Ok(all.collect())
}

/// The name of an address in the reverse tree, RFC 1035 section 3.5 and RFC 3596 section 2.5.
fn reverse_name(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(v6) => {
            let digits = format!("{:032x}", u128::from(v6));
            let reversed: Vec<String> = digits.chars().rev().map(String::from).collect();
            format!("{}.ip6.arpa", reversed.join("."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_turned_around() {
        let name = |text: &str| reverse_name(text.parse().unwrap());
        assert_eq!(name("10.1.2.3"), "3.2.1.10.in-addr.arpa");
        assert!(
            name("fd42::1").starts_with("1.0.0.0.")
                && name("fd42::1").ends_with(".2.4.d.f.ip6.arpa")
        );
    }

    #[test]
    fn a_serial_grows_with_every_change_and_no_other() {
        let serials = Serials::default();
        let zone = |records: &[ZoneRecord], servers: &[&str]| Zone {
            name: "z".into(),
            nameservers: servers.iter().map(ToString::to_string).collect(),
            serial: 0,
            records: records.to_vec(),
            peers: Vec::new(),
        };
        let one = [entry("a".into(), "A", "10.0.0.1".into())];
        assert_eq!(serials.of(&zone(&one, &[]), 100), 100);
        assert_eq!(serials.of(&zone(&one, &[]), 200), 100);
        assert_eq!(serials.of(&zone(&[], &[]), 100), 101);
        assert_eq!(serials.of(&zone(&[], &["ns"]), 100), 102);
        assert_eq!(serials.of(&zone(&one, &[]), 300), 300);
    }

    #[test]
    fn peers_are_known_by_their_names() {
        let pairs = [
            ("peers.one.address", "192.0.2.1"),
            ("peers.one.key", "c2VjcmV0"),
            ("peers.two.key", "c2VjcmV0"),
            ("user.x", "y"),
        ];
        let config = pairs.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let peers = peers(&config.into_iter().collect());
        assert_eq!(peers.len(), 2);
        assert_eq!(peers[0].address, Some("192.0.2.1".parse().unwrap()));
        assert_eq!(peers[1].key.as_deref(), Some(&b"secret"[..]));
    }
}
