//! Backups through the API, on a real pool.

use axum::http::Method;
use serde_json::{Value, json};

use crate::testing::{Call, EveryStep, TestDaemon};

const BACKUPS: &str = "/1.0/instances/c1/backups";

async fn with_c1() -> TestDaemon {
    let daemon = TestDaemon::with_pool().await;
    let post = json!({"name": "c1", "source": {"type": "none"}, "config": {"user.a": "1"}});
    daemon.ok(Method::POST, "/1.0/instances", post).await;
    daemon
}

#[tokio::test]
async fn backups_are_made_listed_renamed_and_removed() {
    let daemon = with_c1().await;
    daemon.ok(Method::POST, BACKUPS, json!({})).await;
    daemon
        .ok(Method::POST, BACKUPS, json!({"name": "mine"}))
        .await;
    let error = daemon
        .refused(Method::POST, BACKUPS, json!({"name": "mine"}))
        .await;
    assert_eq!(error, "backup `c1/mine` already exists");
    let error = daemon
        .refused(
            Method::POST,
            BACKUPS,
            json!({"compression_algorithm": "rar"}),
        )
        .await;
    assert!(error.contains("`rar`"), "{error}");
    let list = daemon.ok(Method::GET, BACKUPS, Value::Null).await;
    assert_eq!(
        list,
        json!([format!("{BACKUPS}/backup0"), format!("{BACKUPS}/mine")])
    );
    let one = format!("{BACKUPS}/mine");
    daemon
        .ok(Method::POST, &one, json!({"name": "yours"}))
        .await;
    assert_eq!(daemon.call(Method::GET, &one, Value::Null).await.0, 404);
    let other = format!("{BACKUPS}/yours");
    let view = daemon.ok(Method::GET, &other, Value::Null).await;
    assert_eq!(view["instance_only"], false);
    daemon.ok(Method::DELETE, &other, Value::Null).await;
    assert_eq!(daemon.call(Method::GET, &other, Value::Null).await.0, 404);
}

#[tokio::test]
async fn a_backup_whose_time_is_over_goes_by_itself() {
    let daemon = with_c1().await;
    let post = json!({"name": "old", "expires_at": "2001-01-01T00:00:00Z"});
    daemon.ok(Method::POST, BACKUPS, post).await;
    daemon
        .ok(Method::POST, BACKUPS, json!({"name": "new"}))
        .await;
    daemon.reconcile().await;
    let list = daemon.ok(Method::GET, BACKUPS, Value::Null).await;
    assert_eq!(list, json!([format!("{BACKUPS}/new")]));
}

async fn with_snapshot() -> TestDaemon {
    let daemon = with_c1().await;
    let post = json!({"name": "s1"});
    let url = "/1.0/instances/c1/snapshots";
    daemon.ok(Method::POST, url, post).await;
    daemon
}

async fn with_backup() -> TestDaemon {
    let daemon = with_snapshot().await;
    let post = json!({"name": "b1"});
    daemon.ok(Method::POST, BACKUPS, post).await;
    daemon
}

async fn every_step<P, F>(prepare: P, request: Call) -> Vec<&'static str>
where
    P: Fn() -> F,
    F: Future<Output = TestDaemon>,
{
    let fallback = None;
    let all = EveryStep {
        prepare,
        request,
        fallback,
    };
    all.run().await
}

#[tokio::test]
async fn one_is_made_whole_or_not_at_all() {
    let make = Call::new(Method::POST, BACKUPS, json!({"name": "b2"}));
    assert!(!every_step(with_backup, make).await.is_empty());
}

#[tokio::test]
async fn one_is_removed_whole() {
    let url = format!("{BACKUPS}/b1");
    let remove = Call::new(Method::DELETE, &url, Value::Null);
    assert!(!every_step(with_backup, remove).await.is_empty());
}

/// A backup as LXD makes it on a host that shifts the owners of files: those of the instance begin at 100000.
fn shifted(backup: &[u8]) -> Vec<u8> {
    use std::io::Read as _;
    let mut before = tar::Archive::new(backup);
    let mut after = tar::Builder::new(Vec::new());
    for entry in before.entries().unwrap() {
        let mut entry = entry.unwrap();
        let (mut header, path) = (entry.header().clone(), entry.path().unwrap().into_owned());
        let mut data = Vec::new();
        entry.read_to_end(&mut data).unwrap();
        if path.ends_with("index.yaml") {
            let mut index: Value = serde_norway::from_slice(&data).unwrap();
            let map = r#"[{"Isuid":true,"Isgid":true,"Hostid":100000,"Nsid":0,"Maprange":65536}]"#;
            let config = &mut index["config"]["container"]["config"];
            config["volatile.last_state.idmap"] = map.into();
            data = serde_norway::to_string(&index).unwrap().into_bytes();
            header.set_size(data.len() as u64);
        }
        if path.components().any(|part| part.as_os_str() == "rootfs") {
            header.set_uid(header.uid().unwrap() + 100_000);
            header.set_gid(header.gid().unwrap() + 100_000);
        }
        header.set_cksum();
        after.append(&header, &data[..]).unwrap();
    }
    after.into_inner().unwrap()
}

#[tokio::test]
async fn owners_that_another_host_has_shifted_are_the_instances_again() {
    use std::os::unix::fs::MetadataExt as _;
    let daemon = with_c1().await;
    let root = |id: u8| {
        let dir = format!("storage-pools/default/containers/{id}/rootfs");
        daemon.path().join(dir)
    };
    std::fs::write(root(1).join("file"), "").unwrap();
    std::os::unix::fs::chown(root(1).join("file"), Some(1000), Some(33)).unwrap();
    let post = json!({"name": "b1", "compression_algorithm": "none"});
    daemon.ok(Method::POST, BACKUPS, post).await;
    let backup = shifted(&std::fs::read(daemon.path().join("backups/1/1")).unwrap());
    daemon
        .ok(Method::DELETE, "/1.0/instances/c1", Value::Null)
        .await;
    let import = Call::upload("/1.0/instances", backup);
    import.send(&daemon).await.unwrap();
    let view = daemon
        .ok(Method::GET, "/1.0/instances/c1", Value::Null)
        .await;
    assert_eq!(view["config"]["volatile.last_state.idmap"], Value::Null);
    let made = daemon.list("storage-pools/default/containers").remove(0);
    let root = root(made.parse().unwrap());
    let owner = |path: &std::path::Path| {
        let stat = std::fs::metadata(path).unwrap();
        (stat.uid(), stat.gid())
    };
    assert_eq!(owner(&root), (0, 0));
    assert_eq!(owner(&root.join("file")), (1000, 33));
}

#[tokio::test]
async fn importing_one_leaves_an_instance_or_nothing() {
    let daemon = with_backup().await;
    let whole = std::fs::read(daemon.path().join("backups/1/1")).unwrap();
    drop(daemon);
    let import = Call::upload("/1.0/instances", whole);
    let steps = every_step(TestDaemon::with_pool, import.clone()).await;
    assert!(steps.contains(&"create snapshot"), "{steps:?}");
    let daemon = TestDaemon::with_pool().await;
    import.send(&daemon).await.unwrap();
    let url = "/1.0/instances/c1/snapshots";
    let list = daemon.ok(Method::GET, url, Value::Null).await;
    assert_eq!(list, json!([format!("{url}/s1")]));
}
