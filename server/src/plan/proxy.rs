//! From the keys of a device `proxy` to the order that its process gets, or to rules that do the same. Pure.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use rlxc_container::proxy::{Endpoint, ProxySpec, SocketOwner};
use rlxc_network::firewall::{Dnat, Ports, Transport};

use super::acl::parse_ports;
use super::nic::network_name;
use crate::keys::is_true;
use crate::model::{Config, Devices};

/// What a proxy comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyPlan {
    /// A process.
    Process(Box<ProxySpec>),
    /// Rules of a network.
    Rules {
        /// Which network.
        network: String,
        /// The rules.
        rules: Vec<Dnat>,
    },
}

/// Where the process of a proxy belongs.
#[derive(Debug, Clone)]
pub struct Surroundings<'a> {
    /// The file that it locks.
    pub lock: PathBuf,
    /// The cgroup of its instance.
    pub cgroup: String,
    /// The first host id of its instance.
    pub idmap_base: u32,
    /// All devices of the instance.
    pub devices: &'a Devices,
}

/// Decides. An error names what is wrong, but not the device.
pub fn plan_proxy(keys: &Config, around: &Surroundings<'_>) -> Result<ProxyPlan, String> {
    let need = |key: &str| {
        let value = keys.get(key).filter(|value| !value.is_empty());
        value.ok_or_else(|| format!("it needs `{key}`, such as `{key}=tcp:127.0.0.1:80`"))
    };
    let listen = parse_endpoints(need("listen")?).map_err(|wrong| format!("`listen`: {wrong}"))?;
    let connect =
        parse_endpoints(need("connect")?).map_err(|wrong| format!("`connect`: {wrong}"))?;
    let pairs = pair(listen, connect)?;
    let inside = match keys.get("bind").map(String::as_str) {
        None | Some("" | "host" | "container-host") => false,
        Some("instance" | "container" | "guest") => true,
        Some(other) => return Err(format!("`bind={other}` is not host or instance")),
    };
    check_unused(keys, &pairs)?;
    if is_true(keys, "nat") {
        if inside || is_true(keys, "proxy_protocol") {
            return Err(
                "`nat` goes neither with `bind=instance` nor with `proxy_protocol`".to_owned(),
            );
        }
        return plan_rules(&pairs, around.devices);
    }
    let id = |key: &str| -> Result<Option<u32>, String> {
        let text = keys.get(key).filter(|text| !text.is_empty());
        let parse = |text: &String| {
            text.parse()
                .map_err(|_bad| format!("`{key}={text}` is not an id"))
        };
        text.map(parse).transpose()
    };
    let base = |here: bool| if here { around.idmap_base } else { 0 };
    let mode = keys.get("mode").map_or("0644", String::as_str);
    let mode = u32::from_str_radix(mode, 8)
        .map_err(|_bad| format!("`mode={mode}` is not a mode such as 0660"))?;
    let identity = match (id("security.uid")?, id("security.gid")?) {
        (None, None) => None,
        // It connects in the instance unless it listens there.
        (uid, gid) => Some((
            base(!inside) + uid.unwrap_or(0),
            base(!inside) + gid.unwrap_or(0),
        )),
    };
    Ok(ProxyPlan::Process(Box::new(ProxySpec {
        pairs,
        inside,
        proxy_protocol: is_true(keys, "proxy_protocol"),
        owner: SocketOwner {
            uid: base(inside) + id("uid")?.unwrap_or(0),
            gid: base(inside) + id("gid")?.unwrap_or(0),
            mode,
        },
        identity,
        lock: around.lock.clone(),
        cgroup: around.cgroup.clone(),
    })))
}

/// Refuses keys that would have no effect.
fn check_unused(keys: &Config, pairs: &[(Endpoint, Endpoint)]) -> Result<(), String> {
    let is_file = |(listen, _): &(Endpoint, Endpoint)| matches!(listen, Endpoint::Unix(_));
    let of_files = ["uid", "gid", "mode"];
    let set = |key: &&str| keys.get(*key).is_some_and(|value| !value.is_empty());
    if let Some(key) = of_files.iter().find(|key| set(key))
        && !pairs.iter().any(is_file)
    {
        return Err(format!(
            "`{key}` makes sense with `listen=unix:/PATH` only: nothing else has an owner and a mode"
        ));
    }
    let sends = pairs.iter().any(|(_, connect)| is_datagram(connect));
    if is_true(keys, "proxy_protocol") && sends {
        return Err("`proxy_protocol` makes sense with connections only, not with UDP".to_owned());
    }
    Ok(())
}

/// `tcp:ADDRESS:PORTS`, `udp:ADDRESS:PORTS`, `unix:PATH`, `unix:@NAME`.
pub fn parse_endpoints(text: &str) -> Result<Vec<Endpoint>, String> {
    let bad =
        || format!("`{text}` is not tcp:ADDRESS:PORT, udp:ADDRESS:PORT, unix:/PATH or unix:@NAME");
    let (kind, rest) = text.split_once(':').ok_or_else(bad)?;
    if kind == "unix" {
        return match rest.strip_prefix('@') {
            Some("") => Err(bad()),
            Some(name) => Ok(vec![Endpoint::Abstract(name.to_owned())]),
            None if rest.starts_with('/') => Ok(vec![Endpoint::Unix(rest.into())]),
            None => Err(bad()),
        };
    }
    let make: fn(SocketAddr) -> Endpoint = match kind {
        "tcp" => Endpoint::Tcp,
        "udp" => Endpoint::Udp,
        _ => return Err(bad()),
    };
    let (host, ports) = rest.rsplit_once(':').ok_or_else(bad)?;
    let host: IpAddr = host
        .trim_matches(['[', ']'])
        .parse()
        .map_err(|_bad| format!("`{host}` is not an IP address; names are not looked up"))?;
    let ports = parse_ports(ports)?;
    if ports.iter().any(|ports| ports.first == 0) {
        return Err(format!("`{text}`: there is no port 0"));
    }
    let all = ports.iter().flat_map(|ports| ports.first..=ports.last);
    let all: Vec<Endpoint> = all.map(|port| make(SocketAddr::new(host, port))).collect();
    if all.is_empty() || all.len() > 1024 {
        return Err(format!("`{text}` must be 1 to 1024 ports"));
    }
    Ok(all)
}

fn is_datagram(endpoint: &Endpoint) -> bool {
    matches!(endpoint, Endpoint::Udp(_))
}

fn pair(
    listen: Vec<Endpoint>,
    connect: Vec<Endpoint>,
) -> Result<Vec<(Endpoint, Endpoint)>, String> {
    if connect.len() != 1 && connect.len() != listen.len() {
        return Err(format!(
            "{} ports can't be passed on to {}: there must be one, or as many",
            listen.len(),
            connect.len()
        ));
    }
    let mixed = listen.iter().any(is_datagram) != connect.iter().any(is_datagram);
    if mixed {
        return Err("UDP can be passed on to UDP only".to_owned());
    }
    let last = connect.last().cloned();
    let targets = connect
        .into_iter()
        .chain(std::iter::repeat_with(move || last.clone()).map_while(|end| end));
    Ok(listen.into_iter().zip(targets).collect())
}

fn plan_rules(pairs: &[(Endpoint, Endpoint)], devices: &Devices) -> Result<ProxyPlan, String> {
    let mut rules = Vec::new();
    let mut found = None;
    for (listen, connect) in pairs {
        let (transport, listen, connect) = match (listen, connect) {
            (Endpoint::Tcp(listen), Endpoint::Tcp(connect)) => (Transport::Tcp, listen, connect),
            (Endpoint::Udp(listen), Endpoint::Udp(connect)) => (Transport::Udp, listen, connect),
            _ => return Err("`nat` passes on TCP to TCP and UDP to UDP only".to_owned()),
        };
        let (network, target) = find_target(connect.ip(), devices)?;
        let one = |port: u16| Ports {
            first: port,
            last: port,
        };
        rules.push(Dnat {
            listen: Some(listen.ip()).filter(|ip| !ip.is_unspecified()),
            ports: Some((transport, one(listen.port()))),
            target,
            target_ports: Some(one(connect.port())),
        });
        found = Some(network);
    }
    let network = found.ok_or_else(|| "there is nothing to listen on".to_owned())?;
    Ok(ProxyPlan::Rules { network, rules })
}

/// The NIC with the address that is connected to; any fixed one where that is the wildcard.
fn find_target(wanted: IpAddr, devices: &Devices) -> Result<(String, IpAddr), String> {
    let key = if wanted.is_ipv4() {
        "ipv4.address"
    } else {
        "ipv6.address"
    };
    let fixed = devices.values().filter_map(|keys| {
        let address: IpAddr = keys.get(key)?.parse().ok()?;
        Some((network_name(keys)?.clone(), address))
    });
    let mut fixed = fixed.filter(|(_, address)| wanted.is_unspecified() || *address == wanted);
    fixed.next().ok_or_else(|| {
        format!("`nat` needs a NIC of the instance, on a managed network, with the fixed address {wanted}: set its `{key}`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(pairs: &[(&str, &str)]) -> Result<ProxyPlan, String> {
        let config = |pairs: &[(&str, &str)]| -> Config {
            let owned = pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            owned.collect()
        };
        let nic = config(&[
            ("type", "nic"),
            ("network", "lab"),
            ("ipv4.address", "10.1.2.3"),
        ]);
        let devices = Devices::from([("eth0".to_owned(), nic)]);
        let around = Surroundings {
            lock: "/run/proxy.lock".into(),
            cgroup: "rlxc/1".to_owned(),
            idmap_base: 1_000_000,
            devices: &devices,
        };
        plan_proxy(&config(pairs), &around)
    }

    #[test]
    fn ranges_and_sockets_are_paired() {
        let plan = plan(&[
            ("listen", "tcp:0.0.0.0:80-81,90"),
            ("connect", "unix:/run/web.sock"),
            ("bind", "instance"),
        ]);
        let Ok(ProxyPlan::Process(spec)) = plan else {
            panic!("{plan:?}")
        };
        assert_eq!(spec.pairs.len(), 3);
        let plan = self::plan(&[
            ("listen", "unix:/run/web.sock"),
            ("connect", "tcp:127.0.0.1:80"),
            ("bind", "instance"),
            ("uid", "33"),
            ("mode", "0600"),
        ]);
        let Ok(ProxyPlan::Process(spec)) = plan else {
            panic!("{plan:?}")
        };
        assert!(spec.inside);
        assert_eq!((spec.owner.uid, spec.owner.mode), (1_000_033, 0o600));
    }

    #[test]
    fn nat_finds_the_address_of_the_instance() {
        let keys = [
            ("listen", "tcp:192.0.2.1:80"),
            ("connect", "tcp:0.0.0.0:8080"),
            ("nat", "true"),
        ];
        let Ok(ProxyPlan::Rules { network, rules }) = plan(&keys) else {
            panic!()
        };
        assert_eq!(
            (network.as_str(), rules[0].target.to_string().as_str()),
            ("lab", "10.1.2.3")
        );
    }

    #[test]
    fn says_what_is_wrong() {
        let good = ("connect", "tcp:127.0.0.1:80");
        for (pairs, why) in [
            (&[good][..], "needs `listen`"),
            (&[("listen", "tcp:80"), good], "`tcp:80`"),
            (&[("listen", "tcp:localhost:80"), good], "not an IP address"),
            (&[("listen", "udp:0.0.0.0:80"), good], "UDP"),
            (&[("listen", "tcp:0.0.0.0:0"), good], "port 0"),
            (
                &[("listen", "tcp:0.0.0.0:80"), good, ("mode", "0600")],
                "`mode`",
            ),
            (
                &[
                    ("listen", "udp:0.0.0.0:80"),
                    ("connect", "udp:127.0.0.1:80"),
                    ("proxy_protocol", "true"),
                ],
                "not with UDP",
            ),
            (
                &[
                    ("listen", "tcp:0.0.0.0:80"),
                    ("connect", "tcp:127.0.0.1:80-81"),
                ],
                "as many",
            ),
            (
                &[
                    ("listen", "tcp:0.0.0.0:80"),
                    ("connect", "tcp:10.9.9.9:80"),
                    ("nat", "true"),
                ],
                "fixed address",
            ),
            (
                &[("listen", "tcp:0.0.0.0:80"), good, ("bind", "moon")],
                "`bind=moon`",
            ),
        ] {
            let error = plan(pairs).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
