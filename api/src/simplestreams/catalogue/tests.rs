use super::*;
use serde_json::json;

const A: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn item(ftype: &str, path: &str) -> Value {
    json!({"ftype": ftype, "path": path, "size": 10, "sha256": B})
}

fn version(items: &Value) -> Version {
    serde_json::from_value(json!({ "items": items })).unwrap()
}

#[test]
fn squashfs_is_preferred_and_hashes_become_lower_case() {
    let mut metadata = item("lxd.tar.xz", "x/lxd.tar.xz");
    metadata["combined_squashfs_sha256"] = json!(A);
    metadata["combined_rootxz_sha256"] = json!(B);
    let files = version(&json!({
        "lxd.tar.xz": metadata,
        "root.squashfs": item("squashfs", "x/rootfs.squashfs"),
        "root.tar.xz": item("root.tar.xz", "x/rootfs.tar.xz"),
        "disk.qcow2": item("disk-kvm.img", "x/disk"),
    }))
    .files()
    .unwrap();
    assert_eq!(files.fingerprint, A.to_ascii_lowercase());
    assert_eq!(files.rootfs.unwrap().path, "x/rootfs.squashfs");
}

#[test]
fn a_tarball_will_do() {
    let mut metadata = item("incus.tar.xz", "x/incus.tar.xz");
    metadata["combined_sha256"] = json!(B);
    let items =
        json!({"incus.tar.xz": metadata, "root.tar.xz": item("root.tar.xz", "x/rootfs.tar.xz")});
    assert_eq!(
        version(&items).files().unwrap().rootfs.unwrap().path,
        "x/rootfs.tar.xz"
    );
}

#[test]
fn all_in_one_will_do() {
    for name in ["incus_combined.tar.gz", "lxd_combined.tar.gz"] {
        let items = json!({"d": item("squashfs.vcdiff", "x/delta"), "u": item(name, "x/all")});
        let files = version(&items).files().unwrap();
        assert_eq!(
            (files.fingerprint.as_str(), files.rootfs, files.kind),
            (B, None, "unified")
        );
    }
}

#[test]
fn entries_that_can_not_be_trusted_are_no_images() {
    for path in ["../../etc/shadow", "x//y", "x/./y", "x y", ""] {
        let mut metadata = item("lxd.tar.xz", path);
        metadata["combined_squashfs_sha256"] = json!(A);
        let items = json!({"m": metadata, "s": item("squashfs", "x/rootfs.squashfs")});
        assert_eq!(version(&items).files(), None, "{path}");
    }
    let mut metadata = item("lxd.tar.xz", "x");
    metadata["combined_squashfs_sha256"] = json!("short");
    assert_eq!(
        version(&json!({"m": metadata, "s": item("squashfs", "x")})).files(),
        None
    );
}

#[test]
fn newest_complete_version_wins() {
    let mut metadata = item("lxd.tar.xz", "x/lxd.tar.xz");
    metadata["combined_squashfs_sha256"] = json!(A);
    let whole = json!({"items": {"m": metadata, "s": item("squashfs", "x/s")}});
    let half = json!({"items": {"m": item("lxd.tar.xz", "x/lxd.tar.xz")}});
    let product: Product = serde_json::from_value(
        json!({"versions": {"20240101_05:24": whole, "20240103_05:24": half, "20231231_05:24": whole}}),
    )
    .unwrap();
    assert_eq!(product.newest().unwrap().0, "20240101_05:24");
}

#[test]
fn only_lists_of_images_are_followed() {
    let index: Index = serde_json::from_value(json!({"format": "index:1.0", "index": {
        "images": {"datatype": "image-downloads", "path": "streams/v1/images.json", "format": "products:1.0"},
        "ids": {"datatype": "image-ids", "path": "streams/v1/ids.json", "format": "products:1.0"},
    }}))
    .unwrap();
    assert_eq!(
        index.product_paths().collect::<Vec<_>>(),
        ["streams/v1/images.json"]
    );
}
