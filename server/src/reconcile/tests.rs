//! The reconciler against worlds that are not as they should be.

use axum::http::Method;
use serde_json::{Value, json};

use crate::testing::{Fault, TestDaemon};

async fn with_instance() -> TestDaemon {
    let daemon = TestDaemon::with_pool().await;
    let post = json!({"name": "c1", "source": {"type": "none"}});
    daemon.ok(Method::POST, "/1.0/instances", post).await;
    daemon
}

async fn with_network() -> TestDaemon {
    let daemon = TestDaemon::new();
    let post =
        json!({"name": "br0", "config": {"ipv4.address": "10.9.0.1/24", "ipv6.address": "none"}});
    daemon.ok(Method::POST, "/1.0/networks", post).await;
    daemon
}

fn kinds(warnings: &[(String, String)]) -> Vec<&str> {
    warnings.iter().map(|(kind, _)| &**kind).collect()
}

#[tokio::test]
async fn a_world_that_is_well_is_left_alone() {
    let daemon = with_instance().await;
    daemon
        .ok(Method::POST, "/1.0/networks", json!({"name": "br0"}))
        .await;
    let start = json!({"action": "start"});
    daemon
        .ok(Method::PUT, "/1.0/instances/c1/state", start)
        .await;
    let before = daemon.world().await;
    daemon.reconcile().await;
    assert_eq!(daemon.world().await.difference(&before), "");
    assert!(daemon.warnings().await.is_empty());
}

#[tokio::test]
async fn a_network_gets_back_what_others_took() {
    let daemon = with_network().await;
    let before = daemon.world().await;
    let takes: [&dyn Fn(); 2] = [&|| daemon.host.firewall.flush(), &|| {
        daemon.host.names.clear();
    }];
    for take in takes {
        take();
        assert_ne!(daemon.world().await, before);
        daemon.reconcile().await;
        assert_eq!(daemon.world().await.difference(&before), "");
        let warnings = daemon.warnings().await;
        assert_eq!(kinds(&warnings), ["Network mended"]);
        assert_eq!(warnings[0].1, "/1.0/networks/br0");
        daemon.reconcile().await;
        assert!(daemon.warnings().await.is_empty(), "it is well again");
    }
}

#[tokio::test]
async fn a_network_that_could_not_be_brought_up_is_tried_again() {
    let mut daemon = with_network().await;
    daemon.restart().await;
    let steps = daemon.faults.disarm();
    let at = steps.iter().position(|step| *step == "make bridge");
    daemon.host_goes_down().await;
    daemon
        .restart_with(Some((at.unwrap(), Fault::Refused)))
        .await;
    assert_eq!(kinds(&daemon.warnings().await), ["Network unavailable"]);
    daemon.faults.disarm();
    daemon.reconcile().await;
    daemon.reconcile().await;
    assert!(daemon.warnings().await.is_empty());
    assert!(daemon.host.firewall.rulesets().contains_key("br0"));
}

#[tokio::test]
async fn a_network_of_nobody_goes() {
    let daemon = with_network().await;
    let delete = |tx: &rusqlite::Transaction<'_>| crate::db::networks::delete(tx, 1);
    daemon.app.db.write(delete).await.unwrap();
    daemon.reconcile().await;
    assert!(daemon.host.firewall.rulesets().is_empty());
    assert!(daemon.host.names.all().is_empty());
}

#[tokio::test]
async fn names_of_nobody_go_and_those_of_instances_stay() {
    let daemon = with_instance().await;
    daemon
        .ok(Method::POST, "/1.0/networks", json!({"name": "br0"}))
        .await;
    let nic = json!({"eth0": {"type": "nic", "network": "br0"}});
    let patch = json!({"devices": nic});
    daemon.ok(Method::PATCH, "/1.0/instances/c1", patch).await;
    let start = json!({"action": "start"});
    daemon
        .ok(Method::PUT, "/1.0/instances/c1/state", start)
        .await;
    let host = rlxc_network::Host {
        name: "ghost".to_owned(),
        hwaddr: "00:16:3e:01:02:03".parse().unwrap(),
        ipv4: None,
        ipv6: None,
    };
    let names = &daemon.app.networking.names;
    names.set_host("br0", host).await.unwrap();
    daemon.reconcile().await;
    let known = || {
        let hosts = daemon.host.names.all();
        hosts["br0"].values().cloned().collect::<Vec<_>>()
    };
    assert_eq!(known(), ["c1"]);
    // One that is gone by mistake comes back.
    let hwaddr = names.hosts("br0").await.unwrap()[0];
    names.remove_host("br0", hwaddr).await.unwrap();
    assert_ne!(known(), ["c1"]);
    daemon.reconcile().await;
    assert_eq!(known(), ["c1"]);
    // So does a port of the bridge.
    let links = || async { daemon.app.networking.links.list().await.unwrap() };
    let is_port = |name: &str, links: &[rlxc_network::LinkView]| {
        links
            .iter()
            .any(|link| link.name == name && link.master.is_some())
    };
    assert!(is_port("c1-eth0", &links().await));
    daemon.host.links.pull_out("c1-eth0");
    daemon.reconcile().await;
    assert!(is_port("c1-eth0", &links().await));
    assert_eq!(kinds(&daemon.warnings().await), ["Network mended"]);
    daemon.host.links.pull_out("br0");
    daemon.reconcile().await;
    assert!(
        links()
            .await
            .iter()
            .all(|link| link.name != "br0" || link.up)
    );
    daemon.reconcile().await;
    assert!(daemon.warnings().await.is_empty());
}

#[tokio::test]
async fn volumes_and_rows_that_lack_each_other_are_told_of() {
    let daemon = with_instance().await;
    let volumes = daemon.path().join("storage-pools/default/containers");
    std::fs::create_dir_all(volumes.join("77/rootfs")).unwrap();
    std::fs::create_dir_all(volumes.join("77/snapshots")).unwrap();
    std::fs::rename(volumes.join("1"), daemon.path().join("away")).unwrap();
    daemon.reconcile().await;
    let mut warnings = daemon.warnings().await;
    warnings.sort();
    let expected = [
        ("Root volume missing", "/1.0/instances/c1"),
        (
            "Storage volume without an instance",
            "/1.0/storage-pools/default/volumes/container/77",
        ),
    ];
    let expected = expected.map(|(kind, url)| (kind.to_owned(), url.to_owned()));
    assert_eq!(warnings, expected);
    assert!(volumes.join("77/rootfs").exists(), "it may be somebody's");
    std::fs::rename(daemon.path().join("away"), volumes.join("1")).unwrap();
    std::fs::remove_dir_all(volumes.join("77")).unwrap();
    daemon.reconcile().await;
    assert!(daemon.warnings().await.is_empty());
}

#[tokio::test]
async fn custom_volumes_and_rows_that_lack_each_other_are_told_of() {
    let daemon = TestDaemon::with_pool().await;
    let post = json!({"name": "data", "type": "custom"});
    let url = "/1.0/storage-pools/default/volumes/custom";
    daemon.ok(Method::POST, url, post).await;
    let volumes = daemon.path().join("storage-pools/default/custom");
    std::fs::create_dir_all(volumes.join("77/rootfs")).unwrap();
    std::fs::create_dir_all(volumes.join("77/snapshots")).unwrap();
    std::fs::rename(volumes.join("1"), daemon.path().join("away")).unwrap();
    daemon.reconcile().await;
    let mut warnings = daemon.warnings().await;
    warnings.sort();
    let expected = [
        ("Custom volume missing", format!("{url}/data")),
        ("Storage volume without a row", format!("{url}/77")),
    ];
    let expected = expected.map(|(kind, url)| (kind.to_owned(), url));
    assert_eq!(warnings, expected);
    // One that is being removed is nobody's business.
    let entry = crate::saga::JournalEntry::CustomVolume {
        pool: "default".to_owned(),
        id: 77,
    };
    let append = move |tx: &rusqlite::Transaction<'_>| crate::saga::append(tx, "x", &entry);
    daemon.app.db.note(append).await.unwrap();
    std::fs::rename(daemon.path().join("away"), volumes.join("1")).unwrap();
    daemon.reconcile().await;
    assert!(daemon.warnings().await.is_empty());
}

#[tokio::test]
async fn directories_of_deleted_instances_go_and_what_runs_stays() {
    let daemon = with_instance().await;
    let start = json!({"action": "start"});
    daemon
        .ok(Method::PUT, "/1.0/instances/c1/state", start)
        .await;
    let dead = daemon.app.places.instance_run(77);
    std::fs::create_dir_all(&dead).unwrap();
    let delete = |tx: &rusqlite::Transaction<'_>| crate::db::instances::delete(tx, 1);
    daemon.app.db.write(delete).await.unwrap();
    daemon.reconcile().await;
    assert!(!dead.exists());
    assert!(daemon.app.places.instance_run(1).exists());
    let warnings = daemon.warnings().await;
    assert!(
        kinds(&warnings).contains(&"Container without an instance"),
        "{warnings:?}"
    );
}

#[tokio::test]
async fn a_pool_that_comes_back_is_opened() {
    let mut daemon = with_instance().await;
    let (pool, away) = (
        daemon.path().join("storage-pools/default"),
        daemon.path().join("away"),
    );
    std::fs::rename(&pool, &away).unwrap();
    daemon.restart().await;
    assert_eq!(
        kinds(&daemon.warnings().await),
        ["Storage pool unavailable"]
    );
    let url = "/1.0/instances/c1";
    let view = daemon.ok(Method::GET, url, Value::Null).await;
    assert_eq!(view["status"], "Stopped");
    let start = json!({"action": "start"});
    let error = daemon
        .refused(Method::PUT, &format!("{url}/state"), start)
        .await;
    assert!(
        error.contains("storage pool `default` is not available"),
        "{error}"
    );
    std::fs::rename(&away, &pool).unwrap();
    daemon.reconcile().await;
    assert!(daemon.warnings().await.is_empty());
}

#[tokio::test]
async fn what_could_not_be_undone_is_undone_later() {
    let daemon = with_instance().await;
    daemon.arm(None).await;
    daemon
        .ok(Method::DELETE, "/1.0/instances/c1", Value::Null)
        .await;
    let steps = daemon.faults.disarm();
    let at = steps.iter().position(|step| *step == "delete volume");
    let post = json!({"name": "c1", "source": {"type": "none"}});
    daemon.ok(Method::POST, "/1.0/instances", post).await;
    daemon.arm(Some((at.unwrap(), Fault::Refused))).await;
    daemon
        .ok(Method::DELETE, "/1.0/instances/c1", Value::Null)
        .await;
    daemon.faults.disarm();
    let volumes = "storage-pools/default/containers";
    assert_eq!(daemon.list(volumes), ["2"]);
    assert_eq!(kinds(&daemon.warnings().await), ["Undo failed"]);
    daemon.reconcile().await;
    assert!(daemon.list(volumes).is_empty());
    assert!(daemon.warnings().await.is_empty());
    assert!(daemon.journal().await.is_empty());
}

#[tokio::test]
async fn a_proxy_that_was_killed_is_started_again() {
    let daemon = with_instance().await;
    let web = json!({"type": "proxy", "listen": "tcp:127.0.0.1:80", "connect": "tcp:127.0.0.1:80"});
    let patch = json!({"devices": {"web": web}});
    daemon.ok(Method::PATCH, "/1.0/instances/c1", patch).await;
    let start = json!({"action": "start"});
    daemon
        .ok(Method::PUT, "/1.0/instances/c1/state", start)
        .await;
    let before = daemon.host.runtime.proxies();
    assert_eq!(before.len(), 1);
    for lock in &before {
        daemon.app.runtime.stop_proxy(lock).await.unwrap();
    }
    daemon.reconcile().await;
    assert_eq!(daemon.host.runtime.proxies(), before);
    assert_eq!(kinds(&daemon.warnings().await), ["Proxy ended"]);
    daemon.reconcile().await;
    assert!(daemon.warnings().await.is_empty());
}
