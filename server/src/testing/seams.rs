//! The seams of the daemon, each with a place where it can break.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use ipnet::IpNet;
use rlxc_container::cgroup::{Cgroup, Controller, Support};
use rlxc_container::proxy::ProxySpec;
use rlxc_container::spec::{ContainerSpec, Limits};
use rlxc_network::view::HostNetwork;
use rlxc_network::{
    BridgeSpec, Error as NetworkError, FakeLinks, Finding, Firewall, Host, Lease, Lent, LinkView,
    Links, LoanSpec, Mac, MacvlanSpec, NicSpec, RecordingFirewall, RoutedSpec, Ruleset,
};

use super::faults::{Faults, Verdict};
use crate::app::network::Names;
use crate::plan::host::HostFacts;
use crate::runtime::fake::FakeRuntime;
use crate::runtime::{Attached, Placement, Prepared, Runtime, RuntimeError};

/// What outlives a daemon: the kernel and the processes of the host, as fakes.
#[derive(Debug, Default)]
pub(crate) struct FakeHost {
    pub(crate) links: FakeLinks,
    pub(crate) firewall: RecordingFirewall,
    pub(crate) runtime: FakeRuntime,
    pub(crate) names: FakeNames,
}

/// A host with 8 GiB, four processors and all controllers of version 2.
pub(super) fn host_facts() -> HostFacts {
    let controllers = [
        Controller::Memory,
        Controller::Pids,
        Controller::Cpu,
        Controller::Cpuset,
        Controller::Io,
        Controller::Hugetlb,
    ];
    HostFacts {
        memory: 8 << 30,
        cpus: (0..4).collect(),
        nodes: BTreeMap::from([(0, (0..4).collect())]),
        support: Support {
            controllers: controllers.into(),
            swap: true,
            ..Support::default()
        },
        may_raise_rlimits: true,
    }
}

/// One life of the daemon on a host.
#[derive(Debug, Clone)]
pub(super) struct Life {
    pub(super) host: Arc<FakeHost>,
    pub(super) faults: Arc<Faults>,
}

/// What networks answer: the hosts of each.
#[derive(Debug, Default)]
pub(crate) struct FakeNames {
    networks: Mutex<BTreeMap<String, BTreeMap<Mac, String>>>,
}

impl FakeNames {
    /// All hosts by network and address.
    pub(crate) fn all(&self) -> BTreeMap<String, BTreeMap<Mac, String>> {
        self.lock().clone()
    }

    /// Ends them all, as somebody's `killall` would.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, BTreeMap<Mac, String>>> {
        self.networks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn network_error() -> NetworkError {
    NetworkError::NoLink("injected".to_owned())
}

impl Life {
    async fn network<T>(
        &self,
        what: &'static str,
        effect: impl Future<Output = Result<T, NetworkError>> + Send,
    ) -> Result<T, NetworkError> {
        match self.faults.step(what) {
            Verdict::Go => effect.await,
            Verdict::Refuse => Err(network_error()),
            Verdict::GoAndFail => {
                effect.await?;
                Err(network_error())
            }
        }
    }
}

#[async_trait]
impl Links for Life {
    async fn ensure_bridge(&self, spec: &BridgeSpec) -> Result<(), NetworkError> {
        self.network("make bridge", self.host.links.ensure_bridge(spec))
            .await
    }

    async fn delete_bridge(&self, name: &str) -> Result<(), NetworkError> {
        self.network("delete bridge", self.host.links.delete_bridge(name))
            .await
    }

    async fn attach_nic(&self, nic: &NicSpec, netns: BorrowedFd<'_>) -> Result<(), NetworkError> {
        self.network("attach NIC", self.host.links.attach_nic(nic, netns))
            .await
    }

    async fn rejoin(&self, nic: &NicSpec) -> Result<(), NetworkError> {
        self.network("rejoin NIC", self.host.links.rejoin(nic))
            .await
    }

    async fn detach_nic(&self, host_name: &str) -> Result<(), NetworkError> {
        self.network("detach NIC", self.host.links.detach_nic(host_name))
            .await
    }

    async fn route_nic(
        &self,
        spec: &RoutedSpec,
        netns: BorrowedFd<'_>,
    ) -> Result<(), NetworkError> {
        self.network("route nic", self.host.links.route_nic(spec, netns))
            .await
    }

    async fn attach_macvlan(
        &self,
        spec: &MacvlanSpec,
        netns: BorrowedFd<'_>,
    ) -> Result<u32, NetworkError> {
        self.network(
            "attach macvlan",
            self.host.links.attach_macvlan(spec, netns),
        )
        .await
    }

    async fn detach_inside(
        &self,
        link: (&str, Option<u32>),
        netns: BorrowedFd<'_>,
    ) -> Result<(), NetworkError> {
        self.network("detach inside", self.host.links.detach_inside(link, netns))
            .await
    }

    async fn lend(
        &self,
        spec: &LoanSpec,
        pin: &Path,
        netns: BorrowedFd<'_>,
    ) -> Result<u32, NetworkError> {
        self.network("lend", self.host.links.lend(spec, pin, netns))
            .await
    }

    async fn take_back(&self, lent: &Lent, pin: &Path) -> Result<(), NetworkError> {
        self.network("take back", self.host.links.take_back(lent, pin))
            .await
    }

    async fn unpin(&self, pin: &Path) -> Result<(), NetworkError> {
        self.network("unpin", self.host.links.unpin(pin)).await
    }

    async fn ensure_vlan(&self, parent: &str, id: u16) -> Result<(), NetworkError> {
        self.network("ensure vlan", self.host.links.ensure_vlan(parent, id))
            .await
    }

    async fn add_routes(&self, link: &str, nets: &[IpNet]) -> Result<(), NetworkError> {
        self.network("add routes", self.host.links.add_routes(link, nets))
            .await
    }

    async fn remove_routes(&self, link: &str, nets: &[IpNet]) -> Result<(), NetworkError> {
        self.network("remove routes", self.host.links.remove_routes(link, nets))
            .await
    }

    async fn answer_for(&self, parent: &str, addresses: &[IpAddr]) -> Result<(), NetworkError> {
        self.network("answer for", self.host.links.answer_for(parent, addresses))
            .await
    }

    async fn stop_answering(&self, parent: &str, addresses: &[IpAddr]) -> Result<(), NetworkError> {
        self.network(
            "stop answering",
            self.host.links.stop_answering(parent, addresses),
        )
        .await
    }

    async fn list(&self) -> Result<Vec<LinkView>, NetworkError> {
        self.host.links.list().await
    }

    async fn host(&self) -> Result<HostNetwork, NetworkError> {
        self.host.links.host().await
    }
}

#[async_trait]
impl Firewall for Life {
    async fn apply(&self, network: &str, ruleset: &Ruleset) -> Result<(), NetworkError> {
        self.network("apply rules", self.host.firewall.apply(network, ruleset))
            .await
    }

    async fn remove(&self, network: &str) -> Result<(), NetworkError> {
        self.network("remove rules", self.host.firewall.remove(network))
            .await
    }

    async fn verify(&self, network: &str) -> Result<bool, NetworkError> {
        self.host.firewall.verify(network).await
    }

    async fn networks(&self) -> Result<Vec<String>, NetworkError> {
        self.host.firewall.networks().await
    }

    async fn findings(&self) -> Result<Vec<Finding>, NetworkError> {
        self.host.firewall.findings().await
    }
}

#[async_trait]
impl Names for Life {
    async fn ensure(&self, spec: &BridgeSpec) -> Result<(), NetworkError> {
        let wanted = spec.needs_dnsmasq();
        self.network("start dnsmasq", async {
            let mut networks = self.host.names.lock();
            if wanted {
                networks.entry(spec.name.clone()).or_default();
            } else {
                networks.remove(&spec.name);
            }
            Ok(())
        })
        .await
    }

    async fn stop(&self, network: &str) -> Result<(), NetworkError> {
        self.network("stop dnsmasq", async {
            self.host.names.lock().remove(network);
            Ok(())
        })
        .await
    }

    async fn is_running(&self, network: &str) -> Result<bool, NetworkError> {
        Ok(self.host.names.lock().contains_key(network))
    }

    async fn process(&self, _network: &str) -> Result<Option<OwnedFd>, NetworkError> {
        Ok(None)
    }

    async fn set_host(&self, network: &str, host: Host) -> Result<(), NetworkError> {
        self.network("set host", async {
            let mut networks = self.host.names.lock();
            let hosts = networks.entry(network.to_owned()).or_default();
            hosts.insert(host.hwaddr, host.name);
            Ok(())
        })
        .await
    }

    async fn remove_host(&self, network: &str, hwaddr: Mac) -> Result<(), NetworkError> {
        self.network("remove host", async {
            if let Some(hosts) = self.host.names.lock().get_mut(network) {
                hosts.remove(&hwaddr);
            }
            Ok(())
        })
        .await
    }

    async fn hosts(&self, network: &str) -> Result<Vec<Mac>, NetworkError> {
        let hosts = self.host.names.lock().get(network).cloned();
        Ok(hosts.unwrap_or_default().into_keys().collect())
    }

    async fn save(&self, _network: &str) -> Result<(), NetworkError> {
        Ok(())
    }

    async fn leases(&self, _network: &str) -> Result<Vec<Lease>, NetworkError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl Runtime for Life {
    async fn prepare(&self, spec: ContainerSpec) -> Result<Box<dyn Prepared>, RuntimeError> {
        if self.faults.step("prepare container") == Verdict::Go {
            return self.host.runtime.prepare(spec).await;
        }
        Err(RuntimeError::HungUp { what: "injected" })
    }

    async fn attach(&self, runtime_dir: &Path) -> Result<Attached, RuntimeError> {
        self.host.runtime.attach(runtime_dir).await
    }

    async fn start_proxy(
        &self,
        spec: ProxySpec,
        instance: BorrowedFd<'_>,
    ) -> Result<(), RuntimeError> {
        match self.faults.step("start proxy") {
            Verdict::Go => self.host.runtime.start_proxy(spec, instance).await,
            Verdict::Refuse => Err(RuntimeError::HungUp { what: "injected" }),
            Verdict::GoAndFail => {
                self.host.runtime.start_proxy(spec, instance).await?;
                Err(RuntimeError::HungUp { what: "injected" })
            }
        }
    }

    async fn limit(&self, cgroup: Cgroup, limits: Limits) -> Result<(), RuntimeError> {
        match self.faults.step("limit") {
            Verdict::Go => self.host.runtime.limit(cgroup, limits).await,
            Verdict::Refuse => Err(RuntimeError::HungUp { what: "injected" }),
            Verdict::GoAndFail => {
                self.host.runtime.limit(cgroup, limits).await?;
                Err(RuntimeError::HungUp { what: "injected" })
            }
        }
    }

    async fn place(&self, cgroup: Cgroup, place: Placement) -> Result<(), RuntimeError> {
        self.host.runtime.place(cgroup, place).await
    }

    fn cpus(&self, cgroup: &Cgroup) -> Option<String> {
        self.host.runtime.cpus(cgroup)
    }

    fn is_proxy_running(&self, lock: &Path) -> bool {
        self.host.runtime.is_proxy_running(lock)
    }

    async fn stop_proxy(&self, lock: &Path) -> Result<(), RuntimeError> {
        self.host.runtime.stop_proxy(lock).await
    }
}
