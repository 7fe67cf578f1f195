//! VLANs: interfaces for one VLAN of a parent, and the VLANs of a port of a bridge.

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::link::{
    AfSpecBridge, BridgeVlanInfo, BridgeVlanInfoFlags, InfoBridge, InfoData, InfoKind, InfoVlan,
    LinkAttribute, LinkInfo, LinkMessage,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rustix::io::Errno;

use super::rtnetlink::{find, ignore, need, open, refused};
use super::{LINK_GROUP, LinkView, check_name, request, vlan_name};
use crate::netlink::RouteSocket;
use crate::{Error, PortVlans, Untagged};

/// The VLAN of frames without a tag, unless a bridge was told otherwise.
const DEFAULT: u16 = 1;

/// Makes `PARENT.ID`, up, unless it is there.
pub(super) fn ensure(parent: &str, id: u16) -> Result<(), Error> {
    let name = vlan_name(parent, id);
    check_name(&name)?;
    let socket = open()?;
    if find(&socket, &name)?.is_some() {
        return Ok(());
    }
    let parent = need(&socket, parent)?;
    let data = InfoData::Vlan(vec![InfoVlan::Id(id)]);
    let mut message = request::up();
    message.attributes = vec![
        LinkAttribute::IfName(name.clone()),
        LinkAttribute::Link(parent.index),
        LinkAttribute::Group(LINK_GROUP),
        LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Vlan), LinkInfo::Data(data)]),
    ];
    let made = socket.change(
        RouteNetlinkMessage::NewLink(message),
        NLM_F_CREATE | NLM_F_EXCL,
    );
    made.map_err(refused("create interface", &name))
        .map_err(|error| error.lacking("VLAN interfaces", "its module `8021q`"))
}

/// Puts a port into its VLANs.
pub(super) fn join(
    socket: &RouteSocket,
    port: &str,
    bridge: &LinkView,
    vlans: &PortVlans,
) -> Result<(), Error> {
    filter(socket, bridge)?;
    let index = need(socket, port)?.index;
    let mut wanted: Vec<BridgeVlanInfo> = Vec::new();
    if let Untagged::Of(vid) = vlans.untagged {
        let flags = BridgeVlanInfoFlags::Pvid | BridgeVlanInfoFlags::Untagged;
        wanted.push(BridgeVlanInfo { flags, vid });
    }
    wanted.extend(vlans.tagged.iter().map(|vid| BridgeVlanInfo {
        flags: BridgeVlanInfoFlags::empty(),
        vid: *vid,
    }));
    let refused = refused("put into its VLANs port", port);
    if vlans.untagged != Untagged::Default && vlans.untagged != Untagged::Of(DEFAULT) {
        let leaving = BridgeVlanInfo {
            flags: BridgeVlanInfoFlags::empty(),
            vid: DEFAULT,
        };
        let left = socket.change(
            RouteNetlinkMessage::DelLink(port_message(index, vec![leaving])),
            0,
        );
        ignore(left, Errno::NOENT).map_err(&refused)?;
    }
    if wanted.is_empty() {
        return Ok(());
    }
    socket
        .change(RouteNetlinkMessage::SetLink(port_message(index, wanted)), 0)
        .map_err(&refused)
}

/// Only a bridge that filters by VLAN keeps them apart. One of ours is told to; its other ports stay in the default VLAN.
fn filter(socket: &RouteSocket, bridge: &LinkView) -> Result<(), Error> {
    if is_filtering(socket, &bridge.name)? {
        return Ok(());
    }
    if !bridge.ours {
        return Err(Error::NoVlanFilter(bridge.name.clone()));
    }
    let filtering = vec![InfoBridge::VlanFiltering(true)];
    let told = socket.change(request::change_bridge(bridge.index, filtering), 0);
    told.map_err(refused("filter by VLAN on bridge", &bridge.name))
        .map_err(|error| {
            error.lacking(
                "bridges that filter by VLAN",
                "CONFIG_BRIDGE_VLAN_FILTERING",
            )
        })
}

fn is_filtering(socket: &RouteSocket, bridge: &str) -> Result<bool, Error> {
    let found = socket.get(request::get_link(bridge));
    let found = found.map_err(refused("find interface", bridge))?;
    let Some(RouteNetlinkMessage::NewLink(message)) = found else {
        return Ok(false);
    };
    let infos = message.attributes.iter().find_map(|attribute| {
        let LinkAttribute::LinkInfo(infos) = attribute else {
            return None;
        };
        infos.iter().find_map(|info| match info {
            LinkInfo::Data(InfoData::Bridge(data)) => Some(data),
            _ => None,
        })
    });
    Ok(infos.is_some_and(|data| data.contains(&InfoBridge::VlanFiltering(true))))
}

fn port_message(index: u32, vlans: Vec<BridgeVlanInfo>) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.interface_family = AddressFamily::Bridge;
    message.header.index = index;
    let spec = vlans.into_iter().map(AfSpecBridge::VlanInfo).collect();
    message.attributes = vec![LinkAttribute::AfSpecBridge(spec)];
    message
}
