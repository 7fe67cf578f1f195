//! The few handles that everything in the daemon shares.

use std::collections::BTreeMap;
use std::sync::Arc;

use rlxc_api::Requestor;
use rlxc_container::cgroup::Cgroup;
use rlxc_sys::chain::chain;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::apparmor::AppArmor;
use crate::app::network::Networking;
use crate::app::pool::Pools;
use crate::clock::{self, Clock};
use crate::db::{self, Db};
use crate::error::{Error, Result};
use crate::events::{Events, Lifecycle};
use crate::instance::Registry;
use crate::keyed::KeyedMutex;
use crate::operation::Operations;
use crate::places::Places;
use crate::plan::host::HostFacts;
use crate::plan::idmap::Span;
use crate::plan::project::Feature;
use crate::runtime::Runtime;
use crate::trust::Trust;

/// The daemon, as its parts see it.
#[derive(Debug)]
pub struct App {
    /// Paths and names.
    pub places: Places,
    /// The inventory.
    pub db: Db,
    /// Time and identifiers.
    pub clock: Arc<dyn Clock>,
    /// Who listens.
    pub events: Events,
    /// Work under way.
    pub operations: Operations,
    /// Instances' actors.
    pub instances: Registry,
    /// What makes containers.
    pub runtime: Arc<dyn Runtime>,
    /// Open storage pools.
    pub pools: Pools,
    /// Bridges, firewall, DHCP and DNS.
    pub networking: Networking,
    /// Where cgroups are on this host.
    pub cgroups: rlxc_container::cgroup::Layout,
    /// What the host has.
    pub host: HostFacts,
    /// Profiles around instances, where the kernel has AppArmor.
    pub apparmor: AppArmor,
    /// Storage drivers for pools in the daemon's own directory, the best first.
    pub storage_drivers: Vec<&'static str>,
    /// Whether other devices of the host are to be waited for.
    pub devices_changed: tokio::sync::Notify,
    /// One choice of processors at a time.
    pub pinning: crate::app::instance::Pinning,
    /// Subordinate ids that instances may get.
    pub id_ranges: Vec<Span>,
    /// One unpacking or download of an image at a time.
    pub image_locks: KeyedMutex,
    /// One change of a custom volume at a time.
    pub volume_locks: KeyedMutex,
    /// When image servers were last asked.
    pub image_checks: crate::app::image::Checks,
    /// One edit of a resource at a time.
    pub edits: KeyedMutex,
    /// Roots of stopped instances that files are read from and written to now.
    pub roots: crate::files::Roots,
    /// Instances that may ask their host.
    pub guests: crate::guest::Guests,
    /// Who may come in from outside, and where.
    pub trust: Trust,
    /// Where DNS zones are given out.
    pub dns: crate::dns::Dns,
    /// Tasks that shutting down waits for.
    pub tasks: TaskTracker,
    /// Is cancelled when nothing new may begin any more, some time before the end.
    pub closing: CancellationToken,
    /// Is cancelled when the daemon is to end.
    pub shutdown: CancellationToken,
}

impl App {
    /// The present, as the inventory writes it.
    pub fn now(&self) -> String {
        clock::format(self.clock.now())
    }

    /// The cgroup of an instance.
    pub fn cgroup(&self, instance: i64) -> Cgroup {
        Cgroup::new(self.cgroups.clone(), self.places.instance_cgroup(instance))
    }

    /// Whose images, profiles and so on a project uses: its own name, or `default`.
    pub async fn owner(&self, project: &str, feature: Feature) -> Result<String> {
        if project == "default" {
            return Ok(project.to_owned());
        }
        let id = self.project(project).await?;
        let owner = self
            .db
            .read(move |tx| db::projects::owner(tx, id, feature))
            .await?;
        Ok(if owner == id { project } else { "default" }.to_owned())
    }

    /// The row of the project whose images, profiles and so on a project uses; all projects for none.
    pub async fn owner_id(&self, project: Option<&str>, feature: Feature) -> Result<Option<i64>> {
        let Some(project) = project else {
            return Ok(None);
        };
        let owner = self.owner(project, feature).await?;
        self.project(&owner).await.map(Some)
    }

    /// The row of a project.
    pub async fn project(&self, name: &str) -> Result<i64> {
        if name == "default" {
            return Ok(db::DEFAULT_PROJECT);
        }
        let key = name.to_owned();
        let id = self
            .db
            .read(move |tx| db::projects::find_id(tx, &key))
            .await?;
        id.ok_or_else(|| Error::not_found("project", name))
    }

    /// Records a warning that `rlxc warning list` shows.
    pub async fn warn(&self, kind: &str, entity_url: &str, message: &str) {
        let now = self.now();
        let warning = db::warnings::Warning {
            uuid: self.clock.uuid().to_string(),
            project: "default".to_owned(),
            kind: kind.to_owned(),
            severity: "moderate".to_owned(),
            status: "new".to_owned(),
            entity_url: entity_url.to_owned(),
            message: message.to_owned(),
            count: 1,
            first_seen_at: now.clone(),
            last_seen_at: now,
        };
        let recorded: Result<()> = self
            .db
            .note(move |tx| Ok(db::warnings::raise(tx, &warning)?))
            .await;
        if let Err(error) = recorded {
            tracing::error!(error = %chain(&error), message, "a warning could not be recorded");
        }
    }

    /// What a warning told of is mended.
    pub fn resolve(&self, kind: &str, entity_url: &str) {
        let (kind, entity_url) = (kind.to_owned(), entity_url.to_owned());
        self.db
            .post(move |tx| db::warnings::resolve(tx, &kind, &entity_url));
    }

    /// Tells listeners that something happened to an instance.
    pub fn instance_event(
        &self,
        action: &str,
        project: &str,
        name: &str,
        requestor: Option<Requestor>,
    ) {
        self.events.lifecycle(Lifecycle {
            action,
            source: instance_url(project, name),
            project,
            name,
            requestor,
            context: BTreeMap::new(),
        });
    }

    /// Tells listeners that something happened to a resource of the server, which is of no project.
    pub fn resource_event(&self, action: &str, source: String, name: &str, requestor: &Requestor) {
        self.project_event(action, ("", name), source, requestor);
    }

    /// Tells listeners that something happened to a resource of a project that is not an instance.
    pub fn project_event(
        &self,
        action: &str,
        (project, name): (&str, &str),
        source: String,
        requestor: &Requestor,
    ) {
        self.events.lifecycle(Lifecycle {
            action,
            source,
            project,
            name,
            requestor: Some(requestor.clone()),
            context: BTreeMap::new(),
        });
    }
}

/// The URL of an instance.
pub fn instance_url(project: &str, name: &str) -> String {
    scoped(format!("/1.0/instances/{name}"), project)
}

/// The URL of something in a project.
pub fn scoped(path: String, project: &str) -> String {
    if project == "default" || project.is_empty() {
        path
    } else {
        format!("{path}?project={project}")
    }
}

/// Runs synchronous code that may wait for a disk or a tool on a thread made for it.
pub async fn blocking<T, F>(work: F) -> T
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
