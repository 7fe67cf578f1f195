//! Names and addresses of an instance's network devices.

use ipnet::IpNet;
use uuid::Uuid;

use super::attachment::{self, Attachment};
use crate::keys::is_true;
use crate::model::{Config, Devices, Network};

/// The longest name of a Linux interface: IFNAMSIZ without its NUL.
const LONGEST: usize = 15;

/// A NIC that is to be plugged at start.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they mirror keys of the configuration one by one"
)]
pub struct Nic {
    /// The id of its instance.
    pub instance: i64,
    /// The device's name in the configuration.
    pub device: String,
    /// The interface's name in the instance.
    pub name: String,
    /// The interface's name on the host.
    pub host_name: String,
    /// Whether a user chose that.
    pub has_own_host_name: bool,
    /// How it reaches the world.
    pub attachment: Attachment,
    /// The bridge it is plugged into; empty if there is none.
    pub bridge: String,
    /// Whether that bridge is a network of ours.
    pub managed: bool,
    /// Its MAC address.
    pub hwaddr: String,
    /// Whether a user chose that.
    pub has_own_hwaddr: bool,
    /// A fixed IPv4 address for DHCP.
    pub ipv4: Option<String>,
    /// A fixed IPv6 address for DHCP.
    pub ipv6: Option<String>,
    /// Subnets that the host sends to it.
    pub routes: Vec<IpNet>,
    /// Its MTU, if not the bridge's.
    pub mtu: Option<u32>,
    /// It sends from its own MAC address only.
    pub mac_filtering: bool,
    /// It sends from its own IPv4 address only.
    pub ipv4_filtering: bool,
    /// It sends from its own IPv6 addresses only.
    pub ipv6_filtering: bool,
    /// It exchanges nothing with other isolated NICs.
    pub isolated: bool,
    /// Its keys `security.acls*`.
    pub security: Config,
    /// Bits a second that it may send.
    pub egress: Option<u64>,
    /// Bits a second that it may receive.
    pub ingress: Option<u64>,
    /// Priority of what it sends.
    pub priority: Option<u32>,
}

impl Nic {
    /// Whether the packet filter has to know of it.
    pub fn has_rules(&self) -> bool {
        let asked_for = self.mac_filtering
            || self.ipv4_filtering
            || self.ipv6_filtering
            || self.security.contains_key("security.acls")
            || self.egress.is_some()
            || self.ingress.is_some()
            || self.priority.is_some();
        // Who has addresses that the host knows sends from no others.
        let is_routed = matches!(self.attachment, Attachment::Routed(_));
        self.attachment.has_host_end() && (asked_for || is_routed)
    }

    /// Whether its bridge may turn out to be a managed one, though its keys don't say so.
    pub fn may_be_managed(&self) -> bool {
        self.managed || matches!(self.attachment, Attachment::Bridged(_))
    }

    /// The NIC, on a managed network if its bridge is one of these.
    #[must_use]
    pub fn found_among<'a>(mut self, mut networks: impl Iterator<Item = &'a Network>) -> Self {
        let is_bridge = |network: &Network| network.is_bridge() && network.name == self.bridge;
        self.managed |= self.may_be_managed() && networks.any(is_bridge);
        self
    }

    /// The NIC as it is on a managed network, which may be no bridge. An error tells of a key that makes no sense there.
    pub fn on(self, network: &Network) -> Result<Self, String> {
        let attachment = Attachment::on(network, self.attachment.clone())
            .map_err(|error| format!("network `{}`: {error}", network.name))?;
        if matches!(attachment, Attachment::Bridged(_)) {
            return Ok(self);
        }
        let asks_for_more = self.has_rules() || self.isolated || !self.routes.is_empty();
        if asks_for_more || self.ipv4.is_some() || self.ipv6.is_some() {
            return Err(format!(
                "device `{}`: network `{}` is of type {}: addresses, routes, limits and filters make no sense there",
                self.device, network.name, network.kind
            ));
        }
        let mtu = network.config.get("mtu").and_then(|mtu| mtu.parse().ok());
        Ok(Self {
            attachment,
            bridge: String::new(),
            managed: false,
            mtu: self.mtu.or(mtu),
            ..self
        })
    }
}

/// The network that the keys of a NIC name; it may be no managed one where they name a bridge as `parent`.
pub fn network_name(keys: &Config) -> Option<&String> {
    let is_bridged = keys.get("nictype").is_some_and(|kind| kind == "bridged");
    let parent = || keys.get("parent").filter(|_| is_bridged);
    keys.get("network").or_else(parent)
}

/// Whether the keys of a NIC put it on a network. On a managed bridge it is by either name, as in LXD.
pub fn is_on(keys: &Config, network: &Network) -> bool {
    let by_name = keys.contains_key("network") || network.is_bridge();
    by_name && network_name(keys) == Some(&network.name)
}

/// The NICs among devices, in the order of their names. Says what is wrong with one that can't be.
pub fn plan_nics(
    instance: i64,
    name: &str,
    config: &Config,
    devices: &Devices,
) -> Result<Vec<Nic>, String> {
    devices
        .iter()
        .filter(|(_, keys)| {
            matches!(
                keys.get("type").map(String::as_str),
                Some("nic" | "infiniband")
            )
        })
        .map(|(device, keys)| plan_nic(instance, name, config, device, keys))
        .collect()
}

/// One NIC. Says what is wrong with one that can't be.
pub fn plan_nic(
    instance: i64,
    name: &str,
    config: &Config,
    device: &str,
    keys: &Config,
) -> Result<Nic, String> {
    let of_device = |error| format!("device `{device}`: {error}");
    let attachment = attachment::parse(keys).map_err(of_device)?;
    let network = keys.get("network");
    let bridge = match &attachment {
        Attachment::Bridged(_) => network.or_else(|| keys.get("parent")).cloned(),
        _ => None,
    };
    let volatile = |key: &str| config.get(&format!("volatile.{device}.{key}"));
    let rate = |key: &str| {
        let own = keys.get(key).filter(|text| !text.is_empty());
        let text = own.or_else(|| keys.get("limits.max"));
        text.and_then(|text| parse_rate(text))
    };
    let filters = |what: &str| is_true(keys, &format!("security.{what}_filtering"));
    let mtu = keys.get("mtu").map(|mtu| {
        mtu.parse()
            .map_err(|_bad| format!("device `{device}`: mtu `{mtu}` is no number"))
    });
    Ok(Nic {
        instance,
        device: device.to_owned(),
        name: keys.get("name").map_or(device, String::as_str).to_owned(),
        host_name: keys
            .get("host_name")
            .cloned()
            .unwrap_or_else(|| host_name(instance, name, device)),
        has_own_host_name: keys.contains_key("host_name"),
        attachment,
        bridge: bridge.unwrap_or_default(),
        managed: network.is_some(),
        routes: attachment::routes(keys).map_err(of_device)?,
        has_own_hwaddr: keys.contains_key("hwaddr"),
        hwaddr: keys
            .get("hwaddr")
            .or_else(|| volatile("hwaddr"))
            .cloned()
            .unwrap_or_default(),
        ipv4: keys
            .get("ipv4.address")
            .or_else(|| volatile("ipv4.address").filter(|_| filters("ipv4")))
            .cloned(),
        ipv6: keys.get("ipv6.address").cloned(),
        mtu: mtu.transpose()?,
        mac_filtering: filters("mac"),
        ipv4_filtering: filters("ipv4"),
        ipv6_filtering: filters("ipv6"),
        egress: rate("limits.egress"),
        ingress: rate("limits.ingress"),
        priority: keys
            .get("limits.priority")
            .and_then(|text| text.parse().ok()),
        isolated: is_true(keys, "security.port_isolation"),
        security: keys
            .iter()
            .filter(|(key, value)| key.starts_with("security.acls") && !value.is_empty())
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
    })
}

/// The host's side of a veth pair: it tells the instance where fifteen bytes allow it.
fn host_name(instance: i64, name: &str, device: &str) -> String {
    let telling = format!("{name}-{device}");
    if telling.len() <= LONGEST && telling.is_ascii() {
        return telling;
    }
    let id = format!(
        "-{instance}{}",
        device
            .trim_start_matches("eth")
            .chars()
            .take(3)
            .collect::<String>()
    );
    let room = LONGEST - id.len().min(LONGEST);
    format!("{}{id}", name.chars().take(room).collect::<String>())
}

/// Bits a second: `100Mbit`, `1Gbit`, `512Kibit`, or a number alone.
pub fn parse_rate(text: &str) -> Option<u64> {
    const UNITS: &[(&str, u64)] = &[
        ("Kibit", 1 << 10),
        ("Mibit", 1 << 20),
        ("Gibit", 1 << 30),
        ("Tibit", 1 << 40),
        ("kbit", 1_000),
        ("Mbit", 1_000_000),
        ("Gbit", 1_000_000_000),
        ("Tbit", 1_000_000_000_000),
        ("bit", 1),
        ("", 1),
    ];
    let (unit, factor) = UNITS.iter().find(|(unit, _)| text.ends_with(unit))?;
    let digits = text.strip_suffix(unit)?;
    let number: u64 = digits.parse().ok().filter(|number| *number > 0)?;
    number.checked_mul(*factor).filter(|bits| *bits >= 8)
}

/// A MAC address in the range of LXD's, from a random identifier.
pub fn random_hwaddr(random: Uuid) -> String {
    let [a, b, c, ..] = *random.as_bytes();
    format!("00:16:3e:{a:02x}:{b:02x}:{c:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn host_names_fit(name in "[a-z][a-z0-9-]{0,62}", device in "[a-z]{1,20}[0-9]?", id in 1i64..10_000_000) {
            let host = host_name(id, &name, &device);
            prop_assert!(!host.is_empty() && host.len() <= LONGEST, "{}", host);
        }
    }

    #[test]
    fn short_names_are_told_in_full() {
        assert_eq!(host_name(1, "dev1", "eth0"), "dev1-eth0");
        assert_eq!(
            host_name(12, "a-very-long-name-indeed", "eth0"),
            "a-very-long-120"
        );
    }

    #[test]
    fn rates_have_units() {
        for (text, bits) in [
            ("100Mbit", 100_000_000),
            ("1Kibit", 1024),
            ("800", 800),
            ("9kbit", 9000),
        ] {
            assert_eq!(parse_rate(text), Some(bits), "{text}");
        }
        for bad in ["", "fast", "0", "1Mb", "-1kbit", "99999999999Tbit"] {
            assert_eq!(parse_rate(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_managed_bridge_has_its_nics_by_either_name() {
        let keys = |text: &str| -> Config {
            let pairs = text.split(' ').filter_map(|pair| pair.split_once('='));
            pairs
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect()
        };
        let network = |kind: &str| Network {
            id: 1,
            project: "default".to_owned(),
            name: "lab".to_owned(),
            kind: kind.to_owned(),
            description: String::new(),
            config: Config::new(),
        };
        let (bridge, macvlan) = (network("bridge"), network("macvlan"));
        let by_parent = keys("type=nic nictype=bridged parent=lab");
        assert!(is_on(&by_parent, &bridge) && !is_on(&by_parent, &macvlan));
        let by_name = keys("type=nic network=lab");
        assert!(is_on(&by_name, &bridge) && is_on(&by_name, &macvlan));
        for other in [
            "type=nic nictype=macvlan parent=lab",
            "type=nic nictype=bridged parent=br0",
            "type=nic network=net nictype=bridged parent=lab",
            "type=disk",
        ] {
            assert!(!is_on(&keys(other), &bridge), "{other}");
        }
        let nic = plan_nic(1, "c1", &Config::new(), "eth0", &by_parent).unwrap();
        assert!(!nic.managed && nic.clone().found_among([&bridge].into_iter()).managed);
        assert!(!nic.found_among([&macvlan].into_iter()).managed);
    }

    #[test]
    fn a_nic_without_a_bridge_is_refused() {
        let devices = Devices::from([(
            "eth0".to_owned(),
            Config::from([("type".to_owned(), "nic".to_owned())]),
        )]);
        let error = plan_nics(1, "c1", &Config::new(), &devices).unwrap_err();
        assert!(
            error.contains("`eth0`") && error.contains("`network`"),
            "{error}"
        );
    }
}
