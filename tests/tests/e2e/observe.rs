//! How a running instance is seen from outside: metrics, filters of lists, tags of what is edited, the host's resources.

use std::time::Duration;

use rlxc_tests::api::ask;
use rlxc_tests::process::eventually;
use rlxc_tests::{Daemon, require};
use serde_json::json;

use super::daemon_with_c1;

/// A figure of `c1`, by the name of its metric and a part of its labels.
fn figure(text: &str, metric: &str, label: &str) -> Option<f64> {
    let line = text.lines().find(|line| {
        line.starts_with(&format!("{metric}{{"))
            && line.contains(r#"name="c1""#)
            && line.contains(label)
    })?;
    line.rsplit(' ').next()?.parse().ok()
}

fn metrics(daemon: &Daemon) -> String {
    let reply = ask(daemon, "GET", "/1.0/metrics", "", "");
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.body
}

#[test]
fn metrics_tell_what_an_instance_does() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let cli = daemon.cli();
    // While it boots it has more processes than after.
    cli.wait_ipv4("c1");
    let first = metrics(&daemon);
    let processes = figure(&first, "lxd_procs_total", "").unwrap();
    assert!(processes >= 1.0, "{first}");
    assert!(
        figure(&first, "lxd_memory_MemTotal_bytes", "").unwrap() > 1e6,
        "{first}"
    );
    assert!(
        figure(
            &first,
            "lxd_network_receive_bytes_total",
            r#"device="eth0""#
        )
        .is_some(),
        "{first}"
    );
    // Work shows: a second of a processor and a few processes.
    cli.exec("c1", &["sh", "-c", "for i in 1 2 3; do sleep 60 & done"]);
    let busy = "timeout 2 sh -c 'while :; do :; done'; true";
    cli.exec("c1", &["sh", "-c", busy]);
    eventually("metrics grow", Duration::from_secs(30), || {
        let now = metrics(&daemon);
        let cpu = |text: &str| {
            let lines = text.lines().filter(|line| {
                line.starts_with("lxd_cpu_seconds_total{") && line.contains(r#"name="c1""#)
            });
            let figures = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
            figures.sum::<f64>()
        };
        figure(&now, "lxd_procs_total", "").unwrap() >= processes + 3.0
            && cpu(&now) > cpu(&first) + 0.2
    });
    cli.ok(["stop", "-f", "c1"]);
    assert_eq!(figure(&metrics(&daemon), "lxd_procs_total", ""), None);
}

#[test]
fn lists_are_filtered_by_what_is_running_and_configured() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let cli = daemon.cli();
    cli.ok(["init", "busybox", "c2", "-c", "user.role=db"]);
    let names = |filter: &str| {
        let filter = filter.replace(' ', "%20");
        let path = format!("/1.0/instances?filter={filter}");
        let reply = ask(&daemon, "GET", &path, "", "");
        assert_eq!(reply.status, 200, "{filter}: {}", reply.body);
        let urls = reply.json()["metadata"].clone();
        let urls = urls.as_array().cloned().unwrap_or_default();
        let names = urls.iter().map(|url| {
            let url = url.as_str().unwrap_or_default();
            url.rsplit('/').next().unwrap_or_default().to_owned()
        });
        names.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names("status eq Running"), "c1");
    assert_eq!(names("status ne Running"), "c2");
    assert_eq!(names("config.user.role eq db"), "c2");
    assert_eq!(names("name eq c.* and status eq Stopped"), "c2");
    assert_eq!(names("name eq c1 or name eq c2"), "c1 c2");
    assert_eq!(names("name eq nobody"), "");
    cli.ok(["start", "c2"]);
    assert_eq!(names("status eq Running"), "c1 c2");
    let bad = ask(&daemon, "GET", "/1.0/instances?filter=name%20eq", "", "");
    assert_eq!(bad.status, 400, "{}", bad.body);
}

#[test]
fn an_edit_of_what_has_changed_meanwhile_is_refused() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let url = "/1.0/instances/c1";
    let shown = ask(&daemon, "GET", url, "", "");
    let tag = shown.header("etag").unwrap().to_owned();
    let if_match = format!("If-Match: {tag}\r\n");
    // It says nothing of what comes and goes by itself.
    daemon.cli().exec("c1", &["true"]);
    let again = ask(&daemon, "GET", url, "", "");
    assert_eq!(again.header("etag"), Some(tag.as_str()));
    let mut put = shown.json()["metadata"].clone();
    put["config"]["user.by"] = json!("first");
    let first = ask(&daemon, "PUT", url, &if_match, &put.to_string());
    assert_eq!(first.status, 202, "{}", first.body);
    let wait = format!("{}/wait", first.json()["operation"].as_str().unwrap());
    let ended = ask(&daemon, "GET", &wait, "", "");
    assert_eq!(ended.json()["metadata"]["status"], "Success");
    for method in ["PUT", "PATCH"] {
        put["config"]["user.by"] = json!("second");
        let second = ask(&daemon, method, url, &if_match, &put.to_string());
        assert_eq!(second.status, 412, "{method}: {}", second.body);
        assert_eq!(second.json()["type"], "error");
    }
    let cli = daemon.cli();
    assert_eq!(cli.ok(["config", "get", "c1", "user.by"]), "first");
}

#[test]
fn the_resources_of_the_host_are_shown() {
    require!(root);
    let (daemon, _) = daemon_with_c1();
    let text = daemon.cli().ok(["info", "--resources"]);
    let cpus = std::thread::available_parallelism().unwrap();
    for part in ["cpu:", "memory:", "storage:", "network:"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let reply = ask(&daemon, "GET", "/1.0/resources", "", "");
    let shown = &reply.json()["metadata"];
    let total = shown["cpu"]["total"].as_u64().unwrap();
    assert!(total >= cpus.get() as u64, "{}", shown["cpu"]);
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
    let line = meminfo.lines().next().unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert_eq!(shown["memory"]["total"], kib * 1024);
}

#[test]
fn what_protects_instances_here_is_told() {
    require!(root);
    let daemon = Daemon::initialized();
    let info = daemon.cli().ok(["info"]);
    let (_, host) = info.split_once("\nhost:").unwrap();
    let (active, lacks) = host.split_once("lacks:").unwrap();
    for protection in ["filtered", "shifted owners", "namespaces", "intercepted"] {
        assert!(active.contains(protection), "{protection}: {host}");
    }
    let apparmor = std::path::Path::new("/sys/kernel/security/apparmor").exists();
    assert_eq!(lacks.contains("AppArmor"), !apparmor, "{host}");
}
