//! Images between servers: public ones and private ones, fetched, sent and carried.

use rlxc_tests::require;

use crate::host::Host;

#[test]
fn images_are_copied_in_every_mode() {
    require!(root);
    let (source, target) = (Host::start(), Host::start());
    rlxc_tests::image::import_busybox(&source.daemon);
    target.add("box", &source);
    source.add("near", &target);
    target.ok(&["image", "set-property", "box:busybox", "note", "a b&c"]);
    // It is not public: a secret lets the target fetch it.
    for (index, mode) in ["pull", "push", "relay"].into_iter().enumerate() {
        target.ok(&[
            "image",
            "copy",
            "box:busybox",
            "local:",
            "--alias",
            "mine",
            "--copy-aliases",
            "--mode",
            mode,
        ]);
        let images = target.images();
        assert_eq!(images.len(), 1, "{mode}");
        assert_eq!(images[0]["properties"]["note"], "a b&c", "{mode}");
        let names: Vec<_> = images[0]["aliases"]
            .as_array()
            .unwrap()
            .iter()
            .map(|alias| alias["name"].clone())
            .collect();
        assert_eq!(names, ["busybox", "mine"], "{mode}");
        assert_eq!(images[0]["public"], false);
        if index == 0 {
            target.ok(&["create", "mine", "c1"]);
            target.ok(&["delete", "c1"]);
            // An alias of one project is none of another's.
            target.ok(&["project", "create", "team"]);
            let copy = ["image", "copy", "box:busybox", "local:", "--alias", "mine"];
            let there = ["--target-project", "team"];
            target.ok(&[&copy[..], &there].concat());
            let text = target.fails(&[&copy[..], &there].concat());
            assert!(text.contains("--reuse"), "{text}");
            target.ok(&["--project", "team", "image", "delete", "mine"]);
            target.ok(&["project", "delete", "team"]);
        }
        let text = target.fails(&["image", "copy", "box:busybox", "local:", "--alias", "mine"]);
        assert!(text.contains("--reuse"), "{text}");
        target.ok(&["image", "delete", "mine"]);
        target.assert_tidy();
    }
    // The other way round, from the source's side.
    source.ok(&[
        "image", "copy", "busybox", "near:", "--public", "--alias", "given",
    ]);
    let images = target.images();
    assert_eq!(
        (
            images[0]["public"].as_bool(),
            images[0]["aliases"][0]["name"].as_str()
        ),
        (Some(true), Some("given"))
    );
    source.assert_tidy();
}

#[test]
fn public_images_need_no_trust() {
    require!(root);
    let (source, target) = (Host::start(), Host::start());
    rlxc_tests::image::import_busybox(&source.daemon);
    target.ok(&[
        "remote",
        "add",
        "box",
        &source.address(),
        "--public",
        "--accept-certificate",
    ]);
    assert_eq!(target.ok(&["image", "list", "box:", "-f", "csv"]), "");
    let text = target.fails(&["launch", "box:busybox", "c1"]);
    assert!(text.contains("not found"), "{text}");
    source
        .daemon
        .cli()
        .ok(["image", "set-property", "busybox", "os", "Busybox"]);
    let edit = "auto_update: false\nproperties: {os: Busybox}\npublic: true\nprofiles: [default]\n";
    let edited = source
        .daemon
        .cli()
        .feed(edit.as_bytes(), ["image", "edit", "busybox"]);
    assert!(edited.code == 0, "{edited}");
    assert!(
        target
            .ok(&["image", "list", "box:", "-c", "lp", "-f", "csv"])
            .contains("busybox,YES"),
        "{}",
        target.ok(&["image", "list", "box:"])
    );
    assert!(
        target
            .ok(&["image", "info", "box:busybox"])
            .contains("os: Busybox")
    );
    launches_and_keeps(&source, &target);
}

/// The target fetches the image by itself, and keeps it.
#[track_caller]
fn launches_and_keeps(source: &Host, target: &Host) {
    assert_eq!(target.ok(&["launch", "box:busybox", "c1"]), "Launched c1");
    let images = target.images();
    assert_eq!(
        (
            images[0]["cached"].as_bool(),
            images[0]["auto_update"].as_bool()
        ),
        (Some(true), Some(true))
    );
    assert_eq!(images[0]["update_source"]["alias"], "busybox");
    assert_eq!(images[0]["update_source"]["protocol"], "lxd");
    // Once more, of what is here already.
    assert_eq!(target.ok(&["launch", "box:busybox", "c2"]), "Launched c2");
    target.ok(&[
        "image",
        "copy",
        "box:busybox",
        "local:",
        "--auto-update",
        "--alias",
        "kept",
    ]);
    assert_eq!(target.images()[0]["cached"], false);
    let fingerprint = target.images()[0]["fingerprint"]
        .as_str()
        .unwrap()
        .to_owned();
    let refreshed = target.ok(&["image", "refresh", "kept"]);
    assert!(refreshed.contains("newest"), "{refreshed}");
    follows_its_source(source, target, &fingerprint);
    target.ok(&["delete", "-f", "c1", "c2"]);
    target.assert_tidy();
}

/// The source gets a newer one under the same name.
#[track_caller]
fn follows_its_source(source: &Host, target: &Host, fingerprint: &str) {
    let cli = source.daemon.cli();
    cli.ok(["create", "busybox", "t"]);
    cli.ok(["publish", "t", "--alias", "busybox", "--reuse", "--public"]);
    let refreshed = target.ok(&["image", "refresh", "kept"]);
    assert!(refreshed.contains("refreshed"), "{refreshed}");
    let images = target.images();
    assert_ne!(images[0]["fingerprint"].as_str().unwrap(), fingerprint);
    assert_eq!(
        (images.len(), images[0]["aliases"][0]["name"].as_str()),
        (1, Some("kept"))
    );
}

#[test]
fn a_server_that_is_gone_or_another_leaves_nothing() {
    require!(root);
    let (mut source, target) = (Host::start(), Host::start());
    rlxc_tests::image::import_busybox(&source.daemon);
    target.add("box", &source);
    // Somebody else's certificate.
    let pinned = format!("{}/servercerts/box.crt", target.conf());
    let good = std::fs::read(&pinned).unwrap();
    std::fs::copy(target.daemon.dir().join("server.crt"), &pinned).unwrap();
    let text = target.fails(&["image", "copy", "box:busybox", "local:"]);
    assert!(text.contains("another certificate"), "{text}");
    std::fs::write(&pinned, good).unwrap();
    source.daemon.kill();
    let text = target.fails(&["image", "copy", "box:busybox", "local:"]);
    assert!(text.contains("connect to"), "{text}");
    let source_json = serde_json::json!({"source": {"type": "image", "mode": "pull", "protocol": "lxd",
        "server": format!("https://{}", source.address()), "fingerprint": "busybox"}});
    let text = target.fails(&[
        "query",
        "-X",
        "POST",
        "--wait",
        "/1.0/images",
        "-d",
        &source_json.to_string(),
    ]);
    assert!(text.contains("can't be reached"), "{text}");
    target.assert_tidy();
    assert!(target.images().is_empty());
    source.daemon.start();
    target.ok(&["image", "copy", "box:busybox", "local:"]);
}
