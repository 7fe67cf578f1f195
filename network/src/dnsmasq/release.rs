//! Gives back a DHCPv4 lease in its holder's name (RFC 2131, section 4.4.4), since dnsmasq has no other way to be told.
//!
//! Best effort: a lease that is not given back ends by itself.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use tokio::net::UdpSocket;

use super::Lease;
use crate::{Mac, view};

const SERVER_PORT: u16 = 67;
/// Opens the options, RFC 2131 section 3.
const MAGIC_COOKIE: [u8; 4] = [99, 130, 83, 99];
/// Where the options begin: `op` to `file` before them.
const HEADER: usize = 236;

/// Tells the dnsmasq of a network that the holder of a lease has gone.
pub(super) async fn send(network: &str, lease: &Lease) {
    let (IpAddr::V4(address), Some(hwaddr)) = (lease.address, lease.hwaddr) else {
        return;
    };
    if let Err(error) = try_send(network, address, hwaddr, lease.client_id.as_deref()).await {
        tracing::debug!(network, %address, %error, "a lease was not given back; it will expire");
    }
}

async fn try_send(
    network: &str,
    address: Ipv4Addr,
    hwaddr: Mac,
    client_id: Option<&[u8]>,
) -> io::Result<()> {
    let Some(server) = gateway(network) else {
        return Ok(());
    };
    let socket = UdpSocket::bind((server, 0)).await?;
    // dnsmasq takes it for its own only if it comes in by the bridge; local traffic counts as that when bound to it.
    socket.bind_device(Some(network.as_bytes()))?;
    socket
        .send_to(
            &packet(address, hwaddr, server, client_id),
            (server, SERVER_PORT),
        )
        .await
        .map(drop)
}

fn gateway(network: &str) -> Option<Ipv4Addr> {
    let bridge = view::host_interfaces()
        .ok()?
        .into_iter()
        .find(|interface| interface.name == network)?;
    bridge.addresses.iter().find_map(|address| {
        if let IpAddr::V4(v4) = address.address {
            Some(v4)
        } else {
            None
        }
    })
}

/// A DHCPRELEASE; see RFC 2131 section 2 and RFC 2132.
fn packet(address: Ipv4Addr, hwaddr: Mac, server: Ipv4Addr, client_id: Option<&[u8]>) -> Vec<u8> {
    let mut packet = vec![0; HEADER];
    // A request, on Ethernet, with addresses of six bytes; the transaction's number matters to nobody.
    packet[..3].copy_from_slice(&[1, 1, 6]);
    packet[12..16].copy_from_slice(&address.octets());
    packet[28..34].copy_from_slice(&hwaddr.0);
    packet.extend(MAGIC_COOKIE);
    packet.extend([53, 1, 7, 54, 4]);
    packet.extend(server.octets());
    if let Some((id, length)) = client_id.and_then(|id| Some((id, u8::try_from(id.len()).ok()?))) {
        packet.extend([61, length]);
        packet.extend(id);
    }
    packet.push(255);
    packet
}
