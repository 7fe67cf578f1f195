//! Images and instances: one made of the other.

use axum::http::Method;
use rlxc_storage::image::{ImageFiles, UnpackLimits, read_metadata};
use serde_json::{Value, json};

use super::{METADATA, image, is_clean, journal, tarball, upload};
use crate::testing::TestDaemon;

#[tokio::test]
async fn instances_live_on_when_their_image_goes() {
    let daemon = TestDaemon::with_pool().await;
    let fingerprint = upload(&daemon, image("a")).await;
    let source = json!({"type": "image", "fingerprint": fingerprint});
    let post = json!({"name": "c1", "source": source});
    daemon.ok(Method::POST, "/1.0/instances", post).await;
    let pool = "storage-pools/default/images";
    assert_eq!(daemon.list(pool), [fingerprint.as_str()]);
    daemon
        .ok(
            Method::DELETE,
            &format!("/1.0/images/{fingerprint}"),
            Value::Null,
        )
        .await;
    assert!(is_clean(&daemon));
    assert!(daemon.list(pool).is_empty());
    assert_eq!(journal(&daemon).await, 0);
    let root = daemon
        .path()
        .join("storage-pools/default/containers/1/rootfs/etc/name");
    assert_eq!(std::fs::read_to_string(root).unwrap(), "a");
    let missing = json!({"name": "c2", "source": {"type": "image", "fingerprint": fingerprint}});
    daemon
        .refused(Method::POST, "/1.0/instances", missing)
        .await;
}

#[tokio::test]
async fn an_instance_becomes_an_image_and_an_image_an_instance() {
    let daemon = TestDaemon::with_pool().await;
    let fingerprint = upload(&daemon, image("a")).await;
    let source = json!({"type": "image", "fingerprint": fingerprint});
    let post = json!({"name": "c1", "source": source});
    daemon.ok(Method::POST, "/1.0/instances", post).await;
    daemon
        .ok(
            Method::POST,
            "/1.0/instances/c1/snapshots",
            json!({"name": "s"}),
        )
        .await;
    for (kind, name, compression) in [("instance", "c1", "zstd"), ("snapshot", "c1/s", "none")] {
        let source = json!({"type": kind, "name": name});
        let post = json!({"source": source, "compression_algorithm": compression,
                          "properties": {"os": "Mine"}, "aliases": [{"name": format!("mine/{kind}")}]});
        let ended = daemon.ok(Method::POST, "/1.0/images", post).await;
        let url = ended["resources"]["images"][0].as_str().unwrap().to_owned();
        let view = daemon.ok(Method::GET, &url, Value::Null).await;
        assert_eq!(view["properties"], json!({"os": "Mine"}));
        let name = view["fingerprint"].as_str().unwrap();
        let files = ImageFiles {
            meta: daemon.path().join("images").join(name),
            rootfs: None,
        };
        let packed = read_metadata(&files, UnpackLimits::default()).unwrap();
        assert_eq!(packed.properties, [("os".into(), "Mine".into())].into());
        let source = json!({"type": "image", "alias": format!("mine/{kind}")});
        let post = json!({"name": format!("of-{kind}"), "source": source});
        daemon.ok(Method::POST, "/1.0/instances", post).await;
    }
    let root = daemon
        .path()
        .join("storage-pools/default/containers/3/rootfs/etc/name");
    assert_eq!(std::fs::read_to_string(root).unwrap(), "a");
    for bad in [
        json!({"source": {"type": "instance", "name": "none"}}),
        json!({"source": {"type": "instance", "name": "c1/s"}}),
        json!({"source": {"type": "snapshot", "name": "c1/none"}}),
        json!({"source": {"type": "instance", "name": "c1"}, "compression_algorithm": "lz4"}),
    ] {
        daemon.refused(Method::POST, "/1.0/images", bad).await;
    }
    assert!(daemon.list("scratch").is_empty());
}

#[tokio::test]
async fn what_is_published_twice_in_a_row_has_both_names() {
    let daemon = TestDaemon::with_pool().await;
    let post = json!({"name": "c1", "source": {"type": "none"}});
    daemon.ok(Method::POST, "/1.0/instances", post).await;
    let metadata = METADATA.replace("1700000000", "1");
    let dir = daemon.path().join("storage-pools/default/containers/1");
    std::fs::write(dir.join("metadata.yaml"), metadata).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    // Two of these fall into one second, however the first one lies.
    for name in ["one", "two", "three"] {
        let source = json!({"type": "instance", "name": "c1"});
        let post = json!({"source": source, "aliases": [{"name": name}]});
        let ended = daemon.ok(Method::POST, "/1.0/images", post).await;
        let fingerprint = ended["metadata"]["fingerprint"].as_str().unwrap();
        let url = format!("/1.0/images/aliases/{name}");
        let alias = daemon.ok(Method::GET, &url, Value::Null).await;
        assert_eq!(alias["target"], fingerprint);
        seen.insert(fingerprint.to_owned());
    }
    let all = daemon.ok(Method::GET, "/1.0/images", Value::Null).await;
    assert_eq!(all.as_array().unwrap().len(), seen.len());
    assert!(daemon.list("scratch").is_empty());
    // Without properties of its own it has those of the image that it comes from.
    let url = format!("/1.0/images/{}", seen.first().unwrap());
    let view = daemon.ok(Method::GET, &url, Value::Null).await;
    assert_eq!(view["properties"], json!({"os": "Test", "release": "1"}));
}

#[tokio::test]
async fn templates_are_written_when_an_instance_is_made() {
    let daemon = TestDaemon::with_pool().await;
    let metadata = format!(
        "{METADATA}templates:\n  /etc/a/hostname: {{when: [create], template: name.tpl}}\n  \
         /../../escape: {{when: [create], template: name.tpl, mode: '0600'}}\n  \
         /etc/name: {{when: [create], template: name.tpl, create_only: true}}\n"
    );
    let bytes = tarball(&[
        ("metadata.yaml", &metadata),
        (
            "templates/name.tpl",
            "{{ container.name }} {{ config_get('user.x', 'none') }}\n",
        ),
        ("rootfs/etc/name", "kept"),
    ]);
    let fingerprint = upload(&daemon, bytes).await;
    let source = json!({"type": "image", "fingerprint": fingerprint});
    let post = json!({"name": "c1", "source": source, "config": {"user.x": "y"}});
    daemon.ok(Method::POST, "/1.0/instances", post).await;
    let root = daemon
        .path()
        .join("storage-pools/default/containers/1/rootfs");
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    assert_eq!(read("etc/a/hostname"), "c1 y\n");
    assert_eq!(read("escape"), "c1 y\n");
    assert_eq!(read("etc/name"), "kept");
}

#[tokio::test]
async fn a_broken_template_undoes_the_instance() {
    let daemon = TestDaemon::with_pool().await;
    for template in ["a.tpl", "../../metadata.yaml", "none.tpl"] {
        let metadata =
            format!("{METADATA}templates:\n  /a: {{when: [create], template: '{template}'}}\n");
        let bytes = tarball(&[
            ("metadata.yaml", &metadata),
            ("templates/a.tpl", "{% include 'x' %}"),
            ("rootfs/etc/name", "kept"),
        ]);
        let fingerprint = upload(&daemon, bytes).await;
        let source = json!({"type": "image", "fingerprint": fingerprint});
        let post = json!({"name": "c1", "source": source});
        let error = daemon.refused(Method::POST, "/1.0/instances", post).await;
        assert!(error.contains("write `/a` from the template"), "{error}");
        assert!(daemon.list("storage-pools/default/containers").is_empty());
        let all = daemon.ok(Method::GET, "/1.0/instances", Value::Null).await;
        assert_eq!(all, json!([]));
    }
}

#[tokio::test]
async fn unpacked_images_that_no_row_names_are_swept() {
    let daemon = TestDaemon::with_pool().await;
    let known = upload(&daemon, image("a")).await;
    let source = json!({"type": "image", "fingerprint": known});
    let post = json!({"name": "c1", "source": source});
    daemon.ok(Method::POST, "/1.0/instances", post).await;
    let driver = daemon.app.pools.get("default").unwrap();
    let mut filler = |directory: &std::path::Path| {
        std::fs::create_dir(directory.join("rootfs")).map_err(Into::into)
    };
    driver.create_image(&"ab".repeat(32), &mut filler).unwrap();
    crate::app::image::sweep_pools(&daemon.app).await.unwrap();
    let left = daemon.list("storage-pools/default/images");
    assert_eq!(left, [known.as_str()]);
}
