//! Images of servers that publish them in the format of simplestreams.

use rlxc_tests::archive::{Archive, fingerprint, gzip, metadata, xz};
use rlxc_tests::image_server::{ImageServer, Product, architecture};
use rlxc_tests::{image, require};
use serde_json::{Value, json};

use crate::host::Host;

const NO_PROXY: (&str, &str) = ("no_proxy", "127.0.0.1");

fn product<'a>(aliases: &'a str, serial: &'a str) -> Product<'a> {
    Product {
        aliases,
        architecture: architecture(),
        serial,
    }
}

fn meta(description: &str) -> Vec<u8> {
    let archive = Archive::new().file("metadata.yaml", 0o644, metadata(description).as_bytes());
    xz(&archive.finish()).unwrap()
}

/// A server with an image of each kind, and what their fingerprints are by alias.
fn fill(server: &ImageServer, work: &std::path::Path) -> [(&'static str, String); 3] {
    let (_, squashfs) = image::busybox_squashfs(work).unwrap();
    let (_, tar) = image::busybox_split().unwrap();
    let tar = xz(&tar).unwrap();
    let whole = gzip(&image::busybox().unwrap()).unwrap();
    let (first, second) = (meta("of LXD"), meta("of Incus"));
    let squashed = fingerprint(&[&first, &squashfs]);
    let packed = fingerprint(&[&second, &tar]);
    let hashes = json!({"combined_squashfs_sha256": squashed, "combined_rootxz_sha256": fingerprint(&[&first, &tar])});
    server.publish(
        product("busybox/lxd,busybox/1", "20260101_05:24"),
        &[
            ("lxd.tar.xz", &first, hashes),
            ("squashfs", &squashfs, Value::Null),
            ("root.tar.xz", &tar, Value::Null),
        ],
    );
    let hashes = json!({"combined_rootxz_sha256": packed});
    server.publish(
        product("busybox/incus", "20260102_05:24"),
        &[
            ("incus.tar.xz", &second, hashes),
            ("root.tar.xz", &tar, Value::Null),
        ],
    );
    server.publish(
        product("busybox/whole", "20260103_05:24"),
        &[("incus_combined.tar.gz", &whole, Value::Null)],
    );
    server.require("busybox/lxd", &json!({"secureboot": "false"}));
    let whole = fingerprint(&[&whole]);
    [
        ("busybox/lxd", squashed),
        ("busybox/incus", packed),
        ("busybox/whole", whole),
    ]
}

/// A certificate for 127.0.0.1 that is its own authority.
fn certify(work: &std::path::Path) -> [std::path::PathBuf; 2] {
    let files = [work.join("server.crt"), work.join("server.key")];
    let script = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -out \"$1\" -keyout \"$2\" -subj /CN=images \
        -addext subjectAltName=IP:127.0.0.1";
    let argv = ["sh", "-c", script, "sh"].map(std::ffi::OsString::from);
    let argv = argv.into_iter().chain(files.clone().map(Into::into));
    rlxc_tests::process::Run::new(argv).ok().unwrap();
    files
}

#[test]
fn images_of_a_server_are_listed_and_launched() {
    require!(root);
    require!(tool "mksquashfs");
    require!(tool "openssl");
    let work = tempfile::tempdir().unwrap();
    let [certificate, key] = certify(work.path());
    let server = ImageServer::https(&certificate, &key).unwrap();
    let known = fill(&server, work.path());
    let file = certificate.display().to_string();
    let host = Host::start_with(&[("SSL_CERT_FILE", &file), NO_PROXY]);
    host.ok(&[
        "remote",
        "add",
        "ours",
        server.url(),
        "--protocol",
        "simplestreams",
    ]);
    // Nobody whom this client trusts has signed the certificate.
    let text = host.fails(&["image", "list", "ours:"]);
    assert!(text.contains("certificate verify failed"), "{text}");
    std::fs::copy(&certificate, format!("{}/client.ca", host.conf())).unwrap();
    assert_listed(&host, &known);
    for (index, (alias, fingerprint)) in known.iter().enumerate() {
        let name = format!("c{index}");
        let launched = host.ok(&["launch", &format!("ours:{alias}"), &name]);
        assert_eq!(launched, format!("Launched {name}"));
        let base = host.ok(&["config", "get", &name, "volatile.base_image"]);
        assert_eq!(&base, fingerprint, "{alias}");
    }
    let secure = host.ok(&["config", "get", "c0", "image.requirements.secureboot"]);
    assert_eq!(secure, "false");
    host.ok(&["delete", "-f", "c0", "c1", "c2"]);
    host.assert_tidy();
    follows_the_server(&host, &server);
}

/// What the client says of a server.
#[track_caller]
fn assert_listed(host: &Host, known: &[(&str, String); 3]) {
    let list = host.ok(&["image", "list", "ours:", "-f", "json"]);
    let list: Vec<Value> = serde_json::from_str(&list).unwrap();
    let mut found: Vec<_> = list
        .iter()
        .map(|image| {
            (
                image["aliases"][0]["name"].as_str().unwrap(),
                image["fingerprint"].as_str().unwrap(),
            )
        })
        .collect();
    found.sort_unstable();
    let mut expected: Vec<_> = known
        .iter()
        .map(|(name, hash)| (*name, hash.as_str()))
        .collect();
    expected.sort_unstable();
    assert_eq!(found, expected);
    let columns = host.ok(&["image", "list", "ours:incus", "-c", "lfpdat", "-f", "csv"]);
    let (hash, kernel) = (&known[1].1[..12], std::env::consts::ARCH);
    let described = format!("Busybox 1 {} (20260102_05:24)", architecture());
    assert_eq!(
        columns,
        format!("busybox/incus,{hash},YES,{described},{kernel},CONTAINER")
    );
    let info = host.ok(&["image", "info", "ours:busybox/1"]);
    for expected in [
        format!("Fingerprint: {}", known[0].1),
        "Created: 2026/01/01".to_owned(),
        "label: release".to_owned(),
        "requirements.secureboot: false".to_owned(),
        "type: squashfs".to_owned(),
        "- busybox/1".to_owned(),
    ] {
        assert!(info.contains(&expected), "{expected}: {info}");
    }
    let aliases = host.ok(&["image", "alias", "list", "ours:", "-f", "csv"]);
    assert_eq!(aliases.lines().count(), 4, "{aliases}");
    let property = host.ok(&["image", "get-property", "ours:busybox/whole", "serial"]);
    assert_eq!(property, "20260103_05:24");
    let text = host.fails(&["image", "info", "ours:busybox/incas"]);
    assert!(text.contains("busybox/incus"), "{text}");
    let text = host.fails(&["image", "delete", "ours:busybox/incus"]);
    assert!(text.contains("`ours` is an image server"), "{text}");
}

/// A newer build takes the place of the one that is here.
#[track_caller]
fn follows_the_server(host: &Host, server: &ImageServer) {
    host.ok(&[
        "image",
        "copy",
        "ours:busybox/incus",
        "local:",
        "--alias",
        "mine",
        "--auto-update",
    ]);
    let refreshed = host.ok(&["image", "refresh", "mine"]);
    assert!(refreshed.contains("newest"), "{refreshed}");
    let (second, (_, tar)) = (meta("newer"), image::busybox_split().unwrap());
    let tar = xz(&tar).unwrap();
    let combined = fingerprint(&[&second, &tar]);
    server.publish(
        product("busybox/incus", "20260201_05:24"),
        &[
            (
                "incus.tar.xz",
                &second,
                json!({"combined_rootxz_sha256": combined}),
            ),
            ("root.tar.xz", &tar, Value::Null),
        ],
    );
    let refreshed = host.ok(&["image", "refresh", "mine"]);
    assert!(refreshed.contains("refreshed"), "{refreshed}");
    let info = host.ok(&["image", "info", "mine"]);
    assert!(
        info.contains(&combined) && info.contains("20260201_05:24"),
        "{info}"
    );
    host.assert_tidy();
}

#[test]
fn what_comes_wrong_from_a_server_is_refused_and_leaves_nothing() {
    require!(root);
    let server = ImageServer::http().unwrap();
    let (_, tar) = image::busybox_split().unwrap();
    let (tar, whole) = (xz(&tar).unwrap(), gzip(&image::busybox().unwrap()).unwrap());
    let publish = |alias: &str, combined: Option<&str>| {
        let meta = meta(alias);
        let good = fingerprint(&[&meta, &tar]);
        let combined = combined.unwrap_or(&good);
        let hashes = json!({"combined_rootxz_sha256": combined});
        let files: [(&str, &[u8], Value); 2] = [
            ("lxd.tar.xz", &meta, hashes),
            ("root.tar.xz", &tar, Value::Null),
        ];
        server.publish(product(alias, "1"), &files);
    };
    for alias in ["good", "hash", "cut", "nested"] {
        publish(alias, None);
    }
    publish("combined", Some(&"ab".repeat(32)));
    server.publish(
        product("whole", "1"),
        &[("lxd_combined.tar.gz", &whole, Value::Null)],
    );
    let mut wrong = tar.clone();
    wrong[tar.len() / 2] ^= 1;
    let file = |alias: &str, ftype: &str| format!("images/{alias}/{}/1/{ftype}", architecture());
    server.put(&file("hash", "root.tar.xz"), &wrong);
    server.put(&file("whole", "lxd_combined.tar.gz"), &whole[1..]);
    server.require("nested", &json!({"nesting": "true"}));
    let host = Host::start_with(&[NO_PROXY]);
    host.ok(&[
        "remote",
        "add",
        "ours",
        server.url(),
        "--protocol",
        "simplestreams",
    ]);
    server.break_off(&file("cut", "root.tar.xz"), u32::MAX);
    for (alias, expected) in [
        ("hash", "its hash is"),
        ("cut", "error reading a body"),
        ("combined", "the image's fingerprint is"),
        ("whole", "bytes instead of"),
        ("absent", "not found"),
    ] {
        let text = host.fails(&["launch", &format!("ours:{alias}"), "c1"]);
        assert!(text.contains(expected), "{alias}: {text}");
        assert!(host.images().is_empty(), "{alias}");
        assert_eq!(host.ok(&["list", "-f", "csv"]), "", "{alias}");
        host.assert_tidy();
    }
    // Once is no harm.
    server.break_off(&file("good", "root.tar.xz"), 1);
    assert_eq!(host.ok(&["launch", "ours:good", "c1"]), "Launched c1");
    let text = host.fails(&["launch", "ours:nested", "c2"]);
    assert!(text.contains("set `security.nesting`"), "{text}");
    host.ok(&["config", "set", "c2", "security.nesting=true"]);
    host.ok(&["start", "c2"]);
    host.ok(&["delete", "-f", "c1", "c2"]);
    assert_bad_lists_are_told(&host, &server);
}

#[track_caller]
fn assert_bad_lists_are_told(host: &Host, server: &ImageServer) {
    server.put("streams/v1/images.json", b"<html>");
    let text = host.fails(&["image", "list", "ours:"]);
    assert!(text.contains("images.json` is no list of images"), "{text}");
    let text = host.fails(&["image", "copy", "ours:cut", "local:"]);
    assert!(text.contains("images.json"), "{text}");
    host.ok(&[
        "remote",
        "set-url",
        "ours",
        &format!("{}/nowhere", server.url()),
    ]);
    let text = host.fails(&["image", "list", "ours:"]);
    assert!(text.contains("the server says 404"), "{text}");
    host.ok(&["remote", "set-url", "ours", "http://127.0.0.1:1"]);
    let text = host.fails(&["image", "list", "ours:"]);
    assert!(text.contains("connect to 127.0.0.1:1"), "{text}");
    host.assert_tidy();
}
