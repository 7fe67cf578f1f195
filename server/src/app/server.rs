//! The server itself: `/1.0`.

use std::sync::Arc;

use rlxc_api::{
    Requestor, Server, ServerEnvironment, ServerPut, ServerStorageDriverInfo, ServerUntrusted,
};
use rlxc_sys::chain::chain;

use crate::context::{App, blocking};
use crate::db::{self, pools};
use crate::error::{Error, Result};
use crate::keys;
use crate::model::Config;
use crate::trust;

/// What is offered beyond LXD's first API: only what is true, and nothing that would change what clients send.
pub const EXTENSIONS: &[&str] = &[
    "storage",
    "backup_compression",
    "backup_compression_algorithm",
    "backup_override_name",
    "certificate_description",
    "certificate_project",
    "certificate_token",
    "certificate_token_expiry",
    "certificate_update",
    "container_backup",
    "container_backup_override_pool",
    "container_copy_project",
    "container_exec_user_group_cwd",
    "container_exec_recording",
    "container_full",
    "container_incremental_copy",
    "container_push",
    "container_push_target",
    "container_only_migration",
    "console",
    "console_force",
    "container_edit_metadata",
    "direct_backup",
    "directory_manipulation",
    "etag",
    "explicit_trust_token",
    "file_append",
    "file_delete",
    "file_symlinks",
    "image_copy_profile",
    "image_create_aliases",
    "image_force_refresh",
    "images_all_projects",
    "images_push_relay",
    "instances",
    "instances_rebuild",
    "instance_all_projects",
    "instance_allow_inconsistent_copy",
    "instance_bulk_state_change",
    "instance_create_start",
    "instance_get_full",
    "instance_ready_state",
    "container_nic_routed",
    "container_nic_routed_gateway",
    "container_nic_routed_host_address",
    "container_nic_routed_host_table",
    "container_nic_routed_limits",
    "container_nic_routes",
    "instance_nic_bridged_port_isolation",
    "instance_nic_bridged_vlan",
    "instance_nic_network",
    "network_type_macvlan",
    "network_type_physical",
    "network_vlan",
    "network_vlan_physical",
    "instance_pool_move",
    "instance_project_move",
    "metadata_configuration",
    "network",
    "network_acl",
    "network_acl_log",
    "network_acls_all_projects",
    "network_zones_all_projects",
    "network_allocations",
    "network_dns",
    "network_dns_records",
    "network_forward",
    "network_leases",
    "network_state",
    "networks_all_projects",
    "operation_wait",
    "restrict_devlxd",
    "devlxd_events",
    "devlxd_images",
    "guestapi",
    "patch",
    "profile_usedby",
    "profiles_all_projects",
    "project_usage",
    "projects",
    "projects_limits",
    "projects_limits_disk",
    "projects_limits_disk_pool",
    "projects_limits_instances",
    "projects_networks",
    "projects_networks_zones",
    "projects_networks_restricted_access",
    "projects_restricted_backups_and_snapshots",
    "projects_restricted_image_servers",
    "projects_restricted_storage_pool_access",
    "projects_restrictions",
    "resources",
    "resources_v2",
    "resources_system",
    "resources_usb_pci",
    "metrics",
    "snapshot_expiry",
    "snapshot_expiry_creation",
    "snapshot_reuse",
    "snapshot_schedule_aliases",
    "snapshot_scheduling",
    "custom_volume_backup",
    "custom_volume_refresh",
    "custom_volume_snapshot_expiry",
    "storage_api_local_volume_handling",
    "storage_api_project",
    "storage_api_remote_volume_handling",
    "storage_api_remote_volume_snapshot_copy",
    "storage_api_remote_volume_snapshots",
    "storage_api_volume_rename",
    "storage_api_volume_snapshots",
    "storage_btrfs_mount_options",
    "storage_driver_overlay",
    "storage_shifted",
    "storage_volume_state",
    "storage_volumes_all",
    "storage_volumes_created_at",
    "warnings",
    "api_filtering",
    "event_lifecycle_name_and_project",
    "event_lifecycle_requestor",
    "image_build",
    "host_doctor",
    "operation_history",
    "api_os",
    "auth_pki",
    "certificate_self_renewal",
    "cloud_init",
    "cloud_init_ssh_keys",
    "container_cpu_time",
    "container_exec_signal_handling",
    "container_host_shutdown_timeout",
    "container_image_properties",
    "container_last_used_at",
    "container_protection_delete",
    "container_protection_shift",
    "container_stop_priority",
    "container_disk_shift",
    "container_mount_propagation",
    "container_raw_mount",
    "container_syscall_filtering",
    "container_syscall_filtering_allow_deny_syntax",
    "container_syscall_intercept",
    "container_syscall_intercept_mount",
    "container_syscall_intercept_mount_fuse",
    "container_syscall_intercept_sched_setscheduler",
    "container_syscall_intercept_sysinfo",
    "entity_description",
    "event_lifecycle",
    "event_lifecycle_requestor_address",
    "event_project",
    "file_get_symlink",
    "firewall_driver",
    "https_allowed_credentials",
    "id_map",
    "id_map_base",
    "infiniband",
    "image_compression_algorithm",
    "image_types",
    "kernel_features",
    "kernel_limits",
    "linux_sysctl",
    "network_firewall_filtering",
    "network_hwaddr",
    "operation_description",
    "operations_get_query_all_projects",
    "resources_cpu_core_die",
    "resources_cpu_isolated",
    "resources_cpu_socket",
    "resources_cpu_threads_numa",
    "resources_disk_address",
    "resources_disk_sata",
    "resources_gpu",
    "resources_numa",
    "resources_pci_iommu",
    "server_supported_storage_drivers",
    "server_trusted_proxy",
    "storage_volume_api_filtering",
    "storage_volumes_all_projects",
    "trust_ca_certificates",
    "limits_hugepages",
    "numa_cpu_placement",
    "tpm_device_type",
    "unix_device_hotplug",
    "unix_device_rename",
    "unix_hotplug_devices",
];

const TRUST_PASSWORD: &str = "core.trust_password";
/// What is shown of a password that is set; given back, it means the same password.
const IS_SET: &str = "true";

/// The server as its clients see it.
pub async fn get(app: &App, who: &Requestor) -> Result<Server> {
    let (mut config, pools) = app
        .db
        .read(|tx| Ok::<_, Error>((db::config::load(tx)?, pools::list(tx)?)))
        .await?;
    if let Some(password) = config.get_mut(TRUST_PASSWORD) {
        IS_SET.clone_into(password);
    }
    let mut drivers: Vec<&str> = pools.iter().map(|pool| pool.driver.as_str()).collect();
    drivers.dedup();
    let certificate = app.trust.server_certificate().await?;
    Ok(Server {
        put: ServerPut { config },
        untrusted: untrusted("trusted"),
        auth_user_name: who.username.clone(),
        auth_user_method: who.protocol.clone(),
        environment: ServerEnvironment {
            addresses: trust::reachable_addresses(&app.trust.listeners.addresses().await),
            certificate: certificate.pem().to_owned(),
            certificate_fingerprint: certificate.fingerprint().to_owned(),
            storage_supported_drivers: supported(&app.storage_drivers),
            ..environment(&drivers.join(" | "))
        },
    })
}

/// What anybody may know of it.
pub fn untrusted(auth: &str) -> ServerUntrusted {
    ServerUntrusted {
        api_extensions: EXTENSIONS.iter().map(|name| (*name).to_owned()).collect(),
        api_status: "stable".to_owned(),
        api_version: "1.0".to_owned(),
        auth: auth.to_owned(),
        public: false,
        auth_methods: vec!["tls".to_owned()],
    }
}

fn environment(storage: &str) -> ServerEnvironment {
    let uname = rustix::system::uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    let (os_name, os_version) = os_release();
    let version = env!("CARGO_PKG_VERSION").to_owned();
    ServerEnvironment {
        architectures: vec![text(uname.machine())],
        driver: "rlxc".to_owned(),
        driver_version: version.clone(),
        firewall: "nftables".to_owned(),
        kernel: text(uname.sysname()),
        kernel_architecture: text(uname.machine()),
        kernel_features: crate::doctor::kernel_features(),
        kernel_version: text(uname.release()),
        os_name,
        os_version,
        project: "default".to_owned(),
        server: "rlxc".to_owned(),
        server_event_mode: "full-mesh".to_owned(),
        server_name: text(uname.nodename()),
        server_pid: i64::from(std::process::id()),
        server_version: version.clone(),
        storage: storage.to_owned(),
        storage_version: version.clone(),
        ..ServerEnvironment::default()
    }
}

fn supported(drivers: &[&str]) -> Vec<ServerStorageDriverInfo> {
    let driver = |name: &&str| ServerStorageDriverInfo {
        name: (*name).to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        remote: false,
    };
    drivers.iter().map(driver).collect()
}

/// NAME and `VERSION_ID` of os-release(5).
fn os_release() -> (String, String) {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let value = |key: &str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_default().trim_matches('"').to_owned()
    };
    (value("NAME"), value("VERSION_ID"))
}

/// Replaces the server's keys.
pub async fn update(app: &App, who: &Requestor, config: Config) -> Result<()> {
    let before = app.db.read(db::config::load).await?;
    let mut config: Config = config
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .collect();
    keys::server::SCOPE.check(&config).map_err(Error::Invalid)?;
    keep_password(&before, &mut config).await?;
    // What can fail comes first: an address that is in use changes nothing.
    app.trust.apply(settings(&config)?).await?;
    if let Err(error) = app.dns.apply(&config).await {
        app.trust.apply(settings(&before)?).await?;
        return Err(error);
    }
    let written = app
        .db
        .write(move |tx| db::config::replace(tx, &config).map_err(Error::from))
        .await;
    if let Err(error) = written {
        let (trust, dns) = (
            app.trust.apply(settings(&before)?).await,
            app.dns.apply(&before).await,
        );
        trust.and(dns)?;
        return Err(error);
    }
    app.resource_event("config-updated", "/1.0".to_owned(), "", who);
    Ok(())
}

fn settings(config: &Config) -> Result<trust::Settings> {
    trust::Settings::parse(config).map_err(Error::Invalid)
}

/// Only a hash of a new password is kept; the old one stays if the client gives back what it was shown.
async fn keep_password(before: &Config, config: &mut Config) -> Result<()> {
    let Some(given) = config.get_mut(TRUST_PASSWORD) else {
        return Ok(());
    };
    match before.get(TRUST_PASSWORD) {
        Some(kept) if given == IS_SET || given == kept => given.clone_from(kept),
        _ => {
            let new = given.clone();
            *given = blocking(move || trust::hash_password(&new)).await?;
        }
    }
    Ok(())
}

/// Opens the API to the network, if that is configured, and takes up tokens. What does not work is told, and does not keep the
/// daemon from starting: an address may come later.
pub async fn open_remote(app: &Arc<App>) -> Result<()> {
    app.trust.reload(&app.db).await?;
    let config = app.db.read(db::config::load).await?;
    let opened = match settings(&config) {
        Ok(settings) => app.trust.apply(settings).await,
        Err(error) => Err(error),
    };
    let failed = [opened.err(), app.dns.apply(&config).await.err()];
    for error in failed.into_iter().flatten() {
        let text = chain(&error).to_string();
        tracing::error!(error = text, "an address can't be listened on");
        app.warn("Unable to listen on the network", "/1.0", &text)
            .await;
    }
    super::join_token::resume(app).await
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::EXTENSIONS;

    #[test]
    fn extensions_are_named_once_and_none_makes_clients_ask_for_what_is_not_there() {
        let all: BTreeSet<_> = EXTENSIONS.iter().collect();
        assert_eq!(all.len(), EXTENSIONS.len(), "twice: {EXTENSIONS:?}");
        for name in [
            "access_management",
            "clustering",
            "metadata_configuration_entity_types",
            "operation_metadata_entity_url",
            "project_delete_operation",
            "storage_and_network_operations",
            "storage_and_profile_operations",
            "virtual-machines",
        ] {
            assert!(!all.contains(&name), "{name}");
        }
    }
}
