//! Macvlans: interfaces of their own Ethernet address on an interface of the host, born inside an instance.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoMacVlan, LinkAttribute, LinkInfo, LinkMessage, MacVlanMode,
};
use rustix::io::Errno;

use super::rtnetlink::{ignore, need, open, open_in, refused};
use super::{LINK_GROUP, check_name, request};
use crate::{Error, MacvlanMode, MacvlanSpec, sysctl, view};

/// Makes one in `netns` and returns its index there.
pub(super) fn attach(spec: &MacvlanSpec, netns: BorrowedFd<'_>) -> Result<u32, Error> {
    check_name(&spec.container_name)?;
    let outside = open()?;
    let parent = need(&outside, &spec.parent)?;
    outside
        .change(new(spec, parent.index, netns), NLM_F_CREATE | NLM_F_EXCL)
        .map_err(refused("create a macvlan on", &spec.parent))
        .map_err(|error| error.lacking("macvlan interfaces", "its module `macvlan`"))?;
    let inside = open_in(netns)?;
    let index = need(&inside, &spec.container_name)?.index;
    let switched = rlxc_sys::netns::in_netns(netns, || switch_on(&spec.container_name))?;
    if let Err(error) = switched {
        detach_inside(&spec.container_name, Some(index), netns)?;
        return Err(error);
    }
    Ok(index)
}

/// No two macvlans of a parent that are on have the same address. That of an instance which has just ended may still be
/// there: its namespace dies a moment later.
fn switch_on(name: &str) -> Result<(), Error> {
    const PATIENCE: Duration = Duration::from_secs(3);
    const PAUSE: Duration = Duration::from_millis(5);
    let end = Instant::now() + PATIENCE;
    loop {
        match sysctl::switch_on(name) {
            Err(error) if error.is_address_in_use() && Instant::now() < end => {
                std::thread::sleep(PAUSE);
            }
            other => return other,
        }
    }
}

/// Deletes one inside an instance, unless it is gone.
pub(super) fn detach_inside(
    name: &str,
    index: Option<u32>,
    netns: BorrowedFd<'_>,
) -> Result<(), Error> {
    let inside = open_in(netns)?;
    let found = view::links(&inside)?.into_iter().find(|link| {
        let is_it = index.map_or(link.name == name, |index| link.index == index);
        is_it && link.kind.as_deref() == Some("macvlan")
    });
    let Some(link) = found else {
        return Ok(());
    };
    let deleted = inside.change(request::delete_link(link.index), 0);
    ignore(deleted, Errno::NODEV).map_err(refused("delete interface", &link.name))
}

/// The kernel looks the parent up where the request comes from, and makes the new link where `netns` says.
fn new(spec: &MacvlanSpec, parent: u32, netns: BorrowedFd<'_>) -> RouteNetlinkMessage {
    let mode = match spec.mode {
        MacvlanMode::Bridge => MacVlanMode::Bridge,
        MacvlanMode::Vepa => MacVlanMode::Vepa,
        MacvlanMode::Private => MacVlanMode::Private,
        MacvlanMode::Passthru => MacVlanMode::Passthrough,
    };
    let data = InfoData::MacVlan(vec![InfoMacVlan::Mode(mode)]);
    let mut message = LinkMessage::default();
    message.attributes = vec![
        LinkAttribute::IfName(spec.container_name.clone()),
        LinkAttribute::Address(spec.hwaddr.0.to_vec()),
        LinkAttribute::Link(parent),
        LinkAttribute::NetNsFd(netns.as_raw_fd()),
        LinkAttribute::Group(LINK_GROUP),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::MacVlan),
            LinkInfo::Data(data),
        ]),
    ];
    message.attributes.extend(spec.mtu.map(LinkAttribute::Mtu));
    RouteNetlinkMessage::NewLink(message)
}
