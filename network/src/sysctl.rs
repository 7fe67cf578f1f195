//! Kernel parameters of the network, in /proc/sys/net; see Documentation/networking/ip-sysctl.rst.
//!
//! That directory shows the namespace of the thread that opens it. A value that is right already is not written, so that
//! hosts with a read-only /proc/sys work if their administrator has set them.

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use crate::error::blocking;
use crate::links::Multicast;
use crate::view::{self, HostNetwork};
use crate::{BridgeSpec, Error, NicSpec};

const ROOT: &str = "/proc/sys/net";

/// Lets the host forward what comes from and goes to the bridge.
///
/// A host that forwards IPv6 stops listening to router advertisements, and would lose its own way out: interfaces that
/// live by them are told to go on first (`accept_ra=2`).
pub async fn setup_sysctls(spec: &BridgeSpec) -> Result<(), Error> {
    let spec = spec.clone();
    blocking(move || setup(&spec)).await
}

fn setup(spec: &BridgeSpec) -> Result<(), Error> {
    forward(spec.ipv4.is_some(), spec.ipv6.is_some())
}

/// Lets the host forward packets of these families.
pub(crate) fn forward(ipv4: bool, ipv6: bool) -> Result<(), Error> {
    if ipv4 {
        set("ipv4/ip_forward", "1")?;
    }
    if ipv6 && read("ipv6/conf/all/forwarding").as_deref() != Some("1") {
        keep_uplink_listening(&view::host_network()?)?;
        set("ipv6/conf/all/forwarding", "1")?;
    }
    Ok(())
}

fn keep_uplink_listening(host: &HostNetwork) -> Result<(), Error> {
    let Some(uplink) = &host.uplink_ipv6 else {
        return Ok(());
    };
    let accept_ra = format!("ipv6/conf/{}/accept_ra", uplink.name);
    if read(&accept_ra).as_deref() == Some("1") {
        set(&accept_ra, "2")
    } else {
        Ok(())
    }
}

/// Prepares a new bridge before it gets its addresses: no duplicate address detection, no advertisements of others.
pub(crate) fn prepare_bridge(spec: &BridgeSpec) -> Result<(), Error> {
    let key = |name: &str| format!("ipv6/conf/{}/{name}", spec.name);
    if spec.ipv6.is_none() {
        return set_if_there(&key("disable_ipv6"), "1");
    }
    set(&key("disable_ipv6"), "0")?;
    set(&key("accept_ra"), "0")?;
    set(&key("accept_dad"), "0")
}

/// Quiets a new NIC: the host's end is a mere port and needs no address; the instance's end gets its IPv6 addresses
/// without one to two seconds of duplicate address detection, since Ethernet addresses on our bridges are unique.
///
/// On a bridge that remembers who listens to which multicast group NICs report so that it alone hears it.
pub(crate) fn prepare_nic(
    nic: &NicSpec,
    multicast: Multicast,
    netns: BorrowedFd<'_>,
) -> Result<(), Error> {
    if nic.bridge.is_some() {
        set_if_there(&format!("ipv6/conf/{}/disable_ipv6", nic.host_name), "1")?;
    }
    let key = |name: &str| format!("ipv6/conf/{}/{name}", nic.container_name);
    rlxc_sys::netns::in_netns(netns, || {
        set_if_there(&key("accept_dad"), "0")?;
        if multicast != Multicast::Plain {
            set_if_there(&key("force_mld_version"), "1")?;
        }
        if nic.up {
            switch_on(&nic.container_name)?;
        }
        Ok(())
    })?
}

/// Lets the host answer on an interface for neighbours that are elsewhere. What IPv4 needs for that is forwarding alone.
pub(crate) fn answer_neighbours(parent: &str) -> Result<(), Error> {
    set_if_there(&format!("ipv6/conf/{parent}/proxy_ndp"), "1")
}

pub(crate) fn switch_on(name: &str) -> Result<(), Error> {
    rlxc_sys::link::set_up(name).map_err(|source| Error::Link {
        doing: "switch on",
        link: name.to_owned(),
        source,
    })
}

/// A host without IPv6 has no such file and needs none.
fn set_if_there(key: &str, value: &str) -> Result<(), Error> {
    if path(key).exists() {
        set(key, value)
    } else {
        Ok(())
    }
}

fn path(key: &str) -> PathBuf {
    Path::new(ROOT).join(key)
}

fn read(key: &str) -> Option<String> {
    std::fs::read_to_string(path(key))
        .ok()
        .map(|text| text.trim().to_owned())
}

fn set(key: &str, value: &str) -> Result<(), Error> {
    if read(key).as_deref() == Some(value) {
        return Ok(());
    }
    std::fs::write(path(key), value).map_err(|source| Error::Sysctl {
        path: path(key),
        value: value.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn forwarding_is_switched_on_in_the_namespace_only() {
        testing::in_fresh_netns(|| async {
            let spec = BridgeSpec {
                ipv4: Some("10.1.2.1/24".parse().unwrap()),
                ipv6: Some("fd42::1/64".parse().unwrap()),
                ..BridgeSpec::default()
            };
            setup_sysctls(&spec).await.unwrap();
            assert_eq!(read("ipv4/ip_forward").as_deref(), Some("1"));
            assert_eq!(read("ipv6/conf/all/forwarding").as_deref(), Some("1"));
        });
    }
}
