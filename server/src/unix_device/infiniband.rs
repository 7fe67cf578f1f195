//! RDMA adapters: which one an interface belongs to, and its nodes in `/dev/infiniband`.
//!
//! By sysfs, see Documentation/ABI/stable/sysfs-class-infiniband and Documentation/infiniband/user_verbs.rst: `verbs` are
//! sent by `uverbsN`, datagrams of management by `umadN`, a subnet manager is told of by `issmN`; the last two are one port's.
//! `rdma_cm`, which finds peers by their IP addresses, is there once for all adapters.

use std::path::Path;

use rlxc_container::spec::DeviceSpec;
use serde::{Deserialize, Serialize};

use super::{Host, Node, node_of, read, spec};
use crate::model::Config;

/// Where adapters are.
const ADAPTERS: &str = "sys/class/infiniband";
/// Where interfaces are.
const INTERFACES: &str = "sys/class/net";
/// What interfaces that stand on others call those.
const LOWER: &str = "lower_";
/// How far down interfaces are followed: a VLAN on a bond is two.
const DEEPEST: u32 = 4;
/// `ARPHRD_INFINIBAND` of include/uapi/linux/if_arp.h.
const IPOIB: &str = "32";

/// An RDMA adapter, as far as an interface is concerned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adapter {
    /// The kernel's name: `mlx5_0`.
    pub name: String,
    /// The port that is the interface's; not known of all.
    pub port: Option<u32>,
}

/// The adapter that an interface of the host belongs to and can be lent with. An error is a sentence.
pub fn find(host: &Host, interface: &str) -> Result<Adapter, String> {
    let adapter = adapter_of(host, interface).ok_or_else(|| {
        format!("interface `{interface}` belongs to no RDMA adapter (`rdma link` lists them): it can be had as a `nic`, `nictype=physical`")
    })?;
    let place = host.at(ADAPTERS).join(&adapter.name);
    if read(&place, "parent") == interface {
        return Err(format!(
            "`{}` is RDMA in software on interface `{interface}`: the kernel removes it when the interface leaves the host; a VLAN on `{interface}` can be had",
            adapter.name
        ));
    }
    if is_exclusive(host) {
        return Err(format!(
            "adapter `{}` of interface `{interface}` can't be shown to instances, for each RDMA device of this host is in one network namespace only: `rdma system set netns shared` first",
            adapter.name
        ));
    }
    Ok(adapter)
}

/// Whether RDMA devices are not seen in all network namespaces, see rdma-system(8).
fn is_exclusive(host: &Host) -> bool {
    let parameters = host.at("sys/module/ib_core/parameters");
    read(&parameters, "netns_mode") == "N"
}

fn adapter_of(host: &Host, interface: &str) -> Option<Adapter> {
    let there = host.at(INTERFACES).join(interface);
    if interface.is_empty() || interface.contains('/') || !there.exists() {
        return None;
    }
    let names = || host.entries(ADAPTERS).into_iter().map(|(name, _)| name);
    let by_hardware = names()
        .find(|name| stands_on(host, interface, name, DEEPEST))
        .map(|name| Adapter {
            port: port_of(host, &name, &there),
            name,
        });
    by_hardware.or_else(|| {
        names().find_map(|name| {
            let port = port_that_names(host, &name, interface)?;
            let port = Some(port);
            Some(Adapter { name, port })
        })
    })
}

/// Whether an interface is one of an adapter's, or stands on one, as a VLAN does.
fn stands_on(host: &Host, interface: &str, adapter: &str, depth: u32) -> bool {
    let place = host.at(ADAPTERS).join(adapter);
    if place.join("device/net").join(interface).exists() || read(&place, "parent") == interface {
        return true;
    }
    let below = host.entries(&format!("{INTERFACES}/{interface}"));
    let mut below = below
        .iter()
        .filter_map(|(name, _)| name.strip_prefix(LOWER));
    depth > 0 && below.any(|lower| stands_on(host, lower, adapter, depth - 1))
}

/// Which of an adapter's ports an interface of its own is. Those of IP over `InfiniBand` count from 0.
fn port_of(host: &Host, adapter: &str, interface: &Path) -> Option<u32> {
    let ports = host.entries(&format!("{ADAPTERS}/{adapter}/ports"));
    if let [(only, _)] = &ports[..] {
        return only.parse().ok();
    }
    let port: u32 = read(interface, "dev_port").parse().ok()?;
    (read(interface, "type") == IPOIB).then_some(port + 1)
}

/// The port whose table of addresses names an interface. Entries that are free can't be read.
///
/// The names are those that the interfaces have wherever they are, in instances too: this is asked last.
fn port_that_names(host: &Host, adapter: &str, interface: &str) -> Option<u32> {
    let ports = host.entries(&format!("{ADAPTERS}/{adapter}/ports"));
    ports.into_iter().find_map(|(port, _)| {
        let table = format!("{ADAPTERS}/{adapter}/ports/{port}/gid_attrs/ndevs");
        let place = host.at(&table);
        let mut entries = host.entries(&table).into_iter();
        let is_named = entries.any(|(entry, _)| read(&place, &entry) == interface);
        is_named.then(|| port.parse().ok())?
    })
}

/// The nodes of an adapter's for a device; none once the adapter is gone.
pub fn nodes(host: &Host, device: &str, adapter: &Adapter) -> Vec<DeviceSpec> {
    if !host.at(ADAPTERS).join(&adapter.name).exists() {
        return Vec::new();
    }
    let is_its = |place: &Path| {
        let port = read(place, "port").parse().ok();
        read(place, "ibdev") == adapter.name
            && (adapter.port.is_none() || port.is_none() || port == adapter.port)
    };
    let of_class = |class: &str| host.entries(&format!("sys/class/{class}")).into_iter();
    let verbs = of_class("infiniband_verbs").filter(|(_, place)| is_its(place));
    let management = of_class("infiniband_mad").filter(|(_, place)| is_its(place));
    let peers = of_class("misc").filter(|(name, _)| name == "rdma_cm");
    verbs
        .chain(management)
        .chain(peers)
        .filter_map(|(_, place)| {
            Some(Node {
                path: node_of(&place)?,
                kind: "c",
                number: Some(read(&place, "dev")).filter(|number| number.contains(':'))?,
            })
        })
        .map(|node| spec(device, &Config::new(), node))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A host with an adapter of two ports of `InfiniBand`, one on Ethernet whose interface is another function's, and one
    /// in software.
    fn host() -> (tempfile::TempDir, Host) {
        let tree = tempfile::tempdir().unwrap();
        let files = [
            ("class/net/ib0/dev_port", "0"),
            ("class/net/ib0/type", IPOIB),
            ("class/net/ib1/dev_port", "1"),
            ("class/net/ib1/type", IPOIB),
            ("class/net/eth0/type", "1"),
            ("class/net/eth1/type", "1"),
            ("class/net/eth2/type", "1"),
            ("class/net/vlan7/lower_eth2/type", "1"),
            ("class/net/bond7/lower_vlan7/type", "1"),
            ("class/infiniband/mlx4_0/device/net/ib0/type", IPOIB),
            ("class/infiniband/mlx4_0/device/net/ib1/type", IPOIB),
            ("class/infiniband/mlx4_0/ports/1/state", "4: ACTIVE"),
            ("class/infiniband/mlx4_0/ports/2/state", "4: ACTIVE"),
            ("class/infiniband/mlx5_0/ports/1/gid_attrs/ndevs/0", "eth7"),
            ("class/infiniband/mlx5_0/ports/2/gid_attrs/ndevs/3", "eth1"),
            ("class/infiniband/mlx5_0/ports/2/gid_attrs/ndevs/4", "gone"),
            ("class/infiniband/rxe0/parent", "eth2\n"),
            ("class/infiniband/rxe0/ports/1/gid_attrs/ndevs/0", "eth2"),
            ("module/ib_core/parameters/netns_mode", "Y\n"),
        ];
        let nodes = [
            ("infiniband_mad", "umad0", "mlx4_0", "1", "231:0"),
            ("infiniband_mad", "umad1", "mlx4_0", "2", "231:1"),
            ("infiniband_mad", "issm1", "mlx4_0", "2", "231:65"),
            ("infiniband_verbs", "uverbs0", "mlx4_0", "", "231:192"),
            ("infiniband_verbs", "uverbs1", "mlx5_0", "", "231:193"),
            ("infiniband_verbs", "uverbs2", "rxe0", "", "231:194"),
            ("misc", "rdma_cm", "", "", "10:124"),
            ("misc", "fuse", "", "", "10:229"),
        ];
        let write = |path: String, text: &str| {
            let path = tree.path().join("sys").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        for (path, text) in files {
            write(path.to_owned(), text);
        }
        for (class, name, adapter, port, number) in nodes {
            let place = format!("class/{class}/{name}");
            write(format!("{place}/dev"), &format!("{number}\n"));
            write(
                format!("{place}/uevent"),
                &format!("DEVNAME=infiniband/{name}\n"),
            );
            for (file, text) in [("ibdev", adapter), ("port", port)] {
                if !text.is_empty() {
                    write(format!("{place}/{file}"), &format!("{text}\n"));
                }
            }
        }
        write("class/infiniband_verbs/abi_version".to_owned(), "6\n");
        let host = Host {
            root: tree.path().to_owned(),
        };
        (tree, host)
    }

    fn adapter(name: &str, port: Option<u32>) -> Adapter {
        let name = name.to_owned();
        Adapter { name, port }
    }

    #[test]
    fn an_interface_leads_to_its_adapter() {
        let (_tree, host) = host();
        for (interface, expected) in [
            ("ib0", adapter("mlx4_0", Some(1))),
            ("ib1", adapter("mlx4_0", Some(2))),
            ("eth1", adapter("mlx5_0", Some(2))),
            ("vlan7", adapter("rxe0", Some(1))),
            ("bond7", adapter("rxe0", Some(1))),
        ] {
            assert_eq!(find(&host, interface), Ok(expected), "{interface}");
        }
        for (interface, expected) in [
            ("eth0", "interface `eth0` belongs to no RDMA adapter"),
            ("gone", "interface `gone` belongs to no RDMA adapter"),
            ("../net/ib0", "belongs to no RDMA adapter"),
            ("", "belongs to no RDMA adapter"),
            ("eth2", "`rxe0` is RDMA in software on interface `eth2`"),
        ] {
            let error = find(&host, interface).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn adapters_that_are_in_one_namespace_only_are_refused() {
        let (tree, host) = host();
        let mode = tree.path().join("sys/module/ib_core/parameters/netns_mode");
        fs::write(mode, "N\n").unwrap();
        let error = find(&host, "ib0").unwrap_err();
        assert!(error.contains("`mlx4_0`") && error.contains("netns shared"));
    }

    #[test]
    fn the_nodes_are_the_adapters_and_the_ports() {
        let (tree, host) = host();
        let found = |adapter: &Adapter| {
            let nodes = nodes(&host, "ib", adapter).into_iter();
            let text = |node: DeviceSpec| {
                assert_eq!((node.source, node.mode), (node.path.clone(), 0o660));
                let name = node.path.strip_prefix("/dev/infiniband").unwrap();
                format!("{} {}", name.display(), node.number)
            };
            nodes.map(text).collect::<Vec<_>>()
        };
        let (verbs, peers) = ("uverbs0 231:192", "rdma_cm 10:124");
        let first = [verbs, "umad0 231:0", peers];
        assert_eq!(found(&adapter("mlx4_0", Some(1))), first);
        let second = [verbs, "issm1 231:65", "umad1 231:1", peers];
        assert_eq!(found(&adapter("mlx4_0", Some(2))), second);
        let both = [verbs, "issm1 231:65", "umad0 231:0", "umad1 231:1", peers];
        assert_eq!(found(&adapter("mlx4_0", None)), both);
        assert_eq!(found(&adapter("rxe0", Some(1))), ["uverbs2 231:194", peers]);
        fs::remove_dir_all(tree.path().join("sys/class/infiniband/rxe0")).unwrap();
        assert!(found(&adapter("rxe0", Some(1))).is_empty());
    }
}
