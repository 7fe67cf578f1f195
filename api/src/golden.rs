//! What goes over the wire, as snapshots: a change of it is a change of the API.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::*;

/// Reads what LXD's Go would write with everything empty, and what it would write after that.
fn empty<T: Serialize + DeserializeOwned + Default + PartialEq + std::fmt::Debug>() -> String {
    let name = std::any::type_name::<T>()
        .rsplit("::")
        .next()
        .unwrap_or_default();
    let from_nothing: T = serde_json::from_str("{}").unwrap();
    assert_eq!(from_nothing, T::default(), "{name}");
    let json = serde_json::to_value(&from_nothing).unwrap();
    assert_eq!(
        serde_json::from_value::<T>(json.clone()).unwrap(),
        from_nothing,
        "{name}"
    );
    assert_eq!(
        serde_json::from_value::<T>(with_nulls(json.clone())).unwrap(),
        from_nothing,
        "{name}"
    );
    format!("{name} {json}\n")
}

/// Go writes `null` for an empty list or map.
fn with_nulls(object: Value) -> Value {
    let Value::Object(map) = object else {
        return object;
    };
    let nulled = |value: Value| match value {
        Value::Array(list) if list.is_empty() => Value::Null,
        Value::Object(map) if map.is_empty() => Value::Null,
        other => with_nulls(other),
    };
    map.into_iter()
        .map(|(key, value)| (key, nulled(value)))
        .collect()
}

macro_rules! all {
    ($($name:ident),*) => {
        [$(empty::<$name> as fn() -> String),*]
    };
}

static ALL: [fn() -> String; 105] = all!(
    Certificate,
    CertificateAddToken,
    CertificatePut,
    CertificatesPost,
    DoctorFinding,
    DoctorReport,
    Event,
    EventLifecycle,
    GuestEvent,
    GuestPatch,
    GuestServer,
    EventLogging,
    ExecMetadata,
    Image,
    ImageAlias,
    ImageAliasesEntry,
    ImageAliasesEntryPost,
    ImageAliasesEntryPut,
    ImageExportPost,
    ImageMetadata,
    ImageMetadataTemplate,
    ImagePut,
    ImageSource,
    ImagesPost,
    ImagesPostSource,
    InitNetworksProjectPost,
    InitPreseed,
    InitProfileProjectPost,
    InitStorageVolumesProjectPost,
    Instance,
    InstanceBackup,
    InstanceBackupPost,
    InstanceBackupsPost,
    InstanceConsolePost,
    InstanceExecControl,
    InstanceExecPost,
    InstanceFull,
    InstancePost,
    InstancePut,
    InstanceSnapshot,
    InstanceSnapshotPost,
    InstanceSnapshotPut,
    InstanceSnapshotsPost,
    InstanceSource,
    InstanceState,
    InstanceStateCpu,
    InstanceStateDisk,
    InstanceStateMemory,
    InstanceStateNetwork,
    InstanceStateNetworkAddress,
    InstanceStateNetworkCounters,
    InstanceStatePut,
    InstancesPost,
    InstancesPut,
    Network,
    NetworkLease,
    NetworkPost,
    NetworkPut,
    NetworkState,
    NetworkStateAddress,
    NetworkStateBridge,
    NetworkStateCounters,
    NetworkStateVlan,
    NetworksPost,
    Operation,
    Profile,
    ProfilePost,
    ProfilePut,
    ProfilesPost,
    Project,
    ProjectPost,
    ProjectPut,
    ProjectState,
    ProjectStateResource,
    ProjectsPost,
    Requestor,
    ResourcesStoragePool,
    ResourcesStoragePoolInodes,
    ResourcesStoragePoolSpace,
    Server,
    ServerCertificate,
    ServerCertificatePut,
    ServerEnvironment,
    ServerPut,
    ServerStorageDriverInfo,
    ServerUntrusted,
    StoragePool,
    StoragePoolPut,
    StoragePoolsPost,
    StorageVolume,
    StorageVolumeBackup,
    StorageVolumeBackupPost,
    StorageVolumeBackupsPost,
    StorageVolumePost,
    StorageVolumePut,
    StorageVolumeSnapshot,
    StorageVolumeSnapshotPost,
    StorageVolumeSnapshotPut,
    StorageVolumeSnapshotsPost,
    StorageVolumeSource,
    StorageVolumeState,
    StorageVolumeStateUsage,
    StorageVolumesPost,
    Warning,
    WarningPut
);

#[test]
fn every_type_when_empty() {
    let text: String = ALL.iter().map(|empty| empty()).collect();
    insta::assert_snapshot!(text);
}

#[test]
fn replies_always_have_all_fields() {
    let text = |reply| serde_json::to_string::<Response<Value>>(&reply).unwrap();
    assert_eq!(
        text(Response::sync(json!({}))),
        r#"{"type":"sync","status":"Success","status_code":200,"operation":"","error_code":0,"error":"","metadata":{}}"#
    );
    assert_eq!(
        text(Response::error(404, "Instance not found")),
        r#"{"type":"error","status":"","status_code":0,"operation":"","error_code":404,"error":"Instance not found","metadata":null}"#
    );
    let operation = Operation {
        id: "1".into(),
        ..Operation::default()
    };
    let reply = Response::asynchronous(operation);
    assert_eq!(reply.operation, "/1.0/operations/1");
    assert_eq!(serde_json::to_value(&reply).unwrap()["status_code"], 100);
}

#[test]
fn an_instance_as_lxd_writes_it() {
    let json = json!({
        "architecture": "x86_64", "config": {"limits.cpu": "2"}, "devices": {}, "ephemeral": false,
        "profiles": ["default"], "stateful": false, "description": "", "created_at": "2026-11-20T10:00:00Z",
        "expanded_config": {"limits.cpu": "2"}, "expanded_devices": {"root": {"type": "disk", "path": "/"}},
        "name": "c1", "status": "Running", "status_code": 103, "last_used_at": "0001-01-01T00:00:00Z",
        "location": "none", "type": "container", "project": "default",
        "backups": null, "snapshots": null,
        "state": {
            "status": "Running", "status_code": 103, "disk": null, "memory": {"usage": 1}, "pid": 7,
            "network": {"eth0": {"addresses": [{"family": "inet", "address": "10.0.0.2", "netmask": "24", "scope": "global"}]}},
        },
    });
    let full: InstanceFull = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(full.instance.status_code, StatusCode::Running);
    assert!(full.instance.last_used_at.is_none());
    assert_eq!(
        full.state.as_ref().unwrap().network["eth0"].addresses[0].address,
        "10.0.0.2"
    );
    let again = serde_json::to_value(&full).unwrap();
    for (key, value) in json
        .as_object()
        .unwrap()
        .iter()
        .filter(|(key, _)| *key != "state")
    {
        assert_eq!(again[key], *value, "{key}");
    }
}

#[test]
fn no_profiles_is_not_an_empty_list_of_them() {
    let none: InstancesPost = serde_json::from_value(json!({"profiles": null})).unwrap();
    assert_eq!(none.put.profiles, None);
    let empty: InstancesPost = serde_json::from_value(json!({"profiles": []})).unwrap();
    assert_eq!(empty.put.profiles, Some(Vec::new()));
}

#[test]
fn dashes_and_capitals_are_lxds() {
    let exec = serde_json::to_value(InstanceExecPost::default()).unwrap();
    assert!(exec.get("wait-for-websocket").is_some() && exec.get("record-output").is_some());
    let driver = serde_json::to_value(ServerStorageDriverInfo::default()).unwrap();
    assert_eq!(driver, json!({"Name": "", "Version": "", "Remote": false}));
}
