//! Links that are a map: for tests of callers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use ipnet::IpNet;

use super::{LinkView, Links, Multicast, check_name, vlan_name};
use crate::view::HostNetwork;
use crate::{
    BridgeSpec, Error, Lent, LinkAddress, LoanSpec, Mac, MacvlanSpec, NicSpec, RoutedSpec,
};

/// A host without hardware.
#[derive(Debug, Default)]
pub struct FakeLinks {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    links: BTreeMap<String, LinkView>,
    last_index: u32,
    host: HostNetwork,
    plugged: BTreeSet<String>,
    addresses: BTreeMap<String, Vec<IpNet>>,
    lent: Vec<LinkView>,
}

impl FakeLinks {
    /// Puts a link of somebody else there.
    pub fn add_foreign(&self, name: &str, kind: &str) {
        let mut state = self.state();
        let link = state.next(name, kind);
        state.links.insert(
            name.to_owned(),
            LinkView {
                ours: false,
                multicast: Multicast::Plain,
                ..link
            },
        );
    }

    /// Sets what [`Links::host`] tells.
    pub fn set_host(&self, host: HostNetwork) {
        self.state().host = host;
    }

    /// Takes a link out of its bridge, and switches it off, as others may.
    pub fn pull_out(&self, name: &str) {
        if let Some(link) = self.state().links.get_mut(name) {
            link.master = None;
            link.up = false;
        }
    }

    /// NICs that were plugged into instances that ran already.
    pub fn plugged(&self) -> BTreeSet<String> {
        self.state().plugged.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn delete(&self, name: &str) -> Result<(), Error> {
        let mut state = self.state();
        match state.links.get(name) {
            Some(link) if !link.ours => Err(Error::NotOurs(name.to_owned())),
            Some(_) => {
                state.links.remove(name);
                state.plugged.remove(name);
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl State {
    fn need(&self, name: &str) -> Result<&LinkView, Error> {
        let found = self.links.get(name);
        found.ok_or_else(|| Error::NoLink(name.to_owned()))
    }

    fn next(&mut self, name: &str, kind: &str) -> LinkView {
        self.last_index += 1;
        LinkView {
            index: self.last_index,
            name: name.to_owned(),
            kind: Some(kind.to_owned()),
            hwaddr: Some(Mac::from_seed(self.last_index.into()).into()),
            mtu: 1500,
            up: true,
            carrier: true,
            master: None,
            ours: true,
            multicast: Multicast::Plain,
        }
    }
}

#[async_trait]
impl Links for FakeLinks {
    async fn ensure_bridge(&self, spec: &BridgeSpec) -> Result<(), Error> {
        check_name(&spec.name)?;
        let mut state = self.state();
        let link = match state.links.get(&spec.name) {
            Some(link) if !link.ours || link.kind.as_deref() != Some("bridge") => {
                return Err(Error::NotOurs(spec.name.clone()));
            }
            Some(link) => link.clone(),
            None => state.next(&spec.name, "bridge"),
        };
        let ipv4 = spec.ipv4.map(IpNet::from);
        let nets = ipv4.into_iter().chain(spec.ipv6.map(IpNet::from));
        state.addresses.insert(spec.name.clone(), nets.collect());
        let mtu = spec.mtu.unwrap_or(link.mtu);
        let hwaddr = spec.hwaddr.map(LinkAddress::from).or(link.hwaddr);
        state.links.insert(
            spec.name.clone(),
            LinkView {
                hwaddr,
                mtu,
                up: true,
                ..link
            },
        );
        Ok(())
    }

    async fn delete_bridge(&self, name: &str) -> Result<(), Error> {
        self.delete(name)
    }

    async fn attach_nic(&self, nic: &NicSpec, _netns: BorrowedFd<'_>) -> Result<(), Error> {
        check_name(&nic.host_name)?;
        check_name(&nic.container_name)?;
        let mut state = self.state();
        let bridge = nic.bridge.as_deref().map(|name| state.need(name));
        let bridge = bridge.transpose()?;
        let master = bridge.map(|bridge| bridge.index);
        let mtu = nic.mtu.or(bridge.map(|bridge| bridge.mtu)).unwrap_or(1500);
        if state.links.contains_key(&nic.host_name) {
            let source = rustix::io::Errno::EXIST.into();
            return Err(Error::Link {
                doing: "create NIC",
                link: nic.host_name.clone(),
                source,
            });
        }
        if nic.up {
            state.plugged.insert(nic.host_name.clone());
        }
        let link = state.next(&nic.host_name, "veth");
        state.links.insert(
            nic.host_name.clone(),
            LinkView {
                mtu,
                master,
                ..link
            },
        );
        Ok(())
    }

    async fn rejoin(&self, nic: &NicSpec) -> Result<(), Error> {
        let mut state = self.state();
        let bridge = nic.bridge.as_deref().map(|name| state.need(name));
        let master = bridge.transpose()?.map(|bridge| bridge.index);
        state.need(&nic.host_name)?;
        if let Some(link) = state.links.get_mut(&nic.host_name) {
            link.master = master;
        }
        Ok(())
    }

    async fn detach_nic(&self, host_name: &str) -> Result<(), Error> {
        self.delete(host_name)
    }

    async fn route_nic(&self, spec: &RoutedSpec, _netns: BorrowedFd<'_>) -> Result<(), Error> {
        self.state().need(&spec.host_name).map(drop)
    }

    async fn attach_macvlan(
        &self,
        spec: &MacvlanSpec,
        _netns: BorrowedFd<'_>,
    ) -> Result<u32, Error> {
        check_name(&spec.container_name)?;
        let mut state = self.state();
        state.need(&spec.parent)?;
        state.last_index += 1;
        Ok(state.last_index)
    }

    async fn detach_inside(
        &self,
        _link: (&str, Option<u32>),
        _netns: BorrowedFd<'_>,
    ) -> Result<(), Error> {
        Ok(())
    }

    async fn lend(
        &self,
        spec: &LoanSpec,
        _pin: &Path,
        _netns: BorrowedFd<'_>,
    ) -> Result<u32, Error> {
        let mut state = self.state();
        let index = state.need(&spec.name)?.index;
        let link = state.links.remove(&spec.name);
        state.lent.extend(link);
        Ok(index)
    }

    async fn take_back(&self, lent: &Lent, _pin: &Path) -> Result<(), Error> {
        let mut state = self.state();
        if let Some(place) = state.lent.iter().position(|link| link.name == lent.name) {
            let link = state.lent.remove(place);
            state.links.insert(link.name.clone(), link);
        }
        Ok(())
    }

    async fn unpin(&self, _pin: &Path) -> Result<(), Error> {
        Ok(())
    }

    async fn ensure_vlan(&self, parent: &str, id: u16) -> Result<(), Error> {
        let mut state = self.state();
        state.need(parent)?;
        let name = vlan_name(parent, id);
        if !state.links.contains_key(&name) {
            let link = state.next(&name, "vlan");
            state.links.insert(name, link);
        }
        Ok(())
    }

    async fn add_routes(&self, link: &str, _nets: &[IpNet]) -> Result<(), Error> {
        self.state().need(link).map(drop)
    }

    async fn remove_routes(&self, _link: &str, _nets: &[IpNet]) -> Result<(), Error> {
        Ok(())
    }

    async fn answer_for(&self, parent: &str, _addresses: &[IpAddr]) -> Result<(), Error> {
        self.state().need(parent).map(drop)
    }

    async fn stop_answering(&self, _parent: &str, _addresses: &[IpAddr]) -> Result<(), Error> {
        Ok(())
    }

    async fn list(&self) -> Result<Vec<LinkView>, Error> {
        Ok(self.state().links.values().cloned().collect())
    }

    async fn host(&self) -> Result<HostNetwork, Error> {
        let state = self.state();
        let mut host = state.host.clone();
        for (name, nets) in &state.addresses {
            if state.links.contains_key(name) {
                let own = nets.iter().map(|net| (name.clone(), *net));
                host.attached.extend(own);
            }
        }
        Ok(host)
    }
}
