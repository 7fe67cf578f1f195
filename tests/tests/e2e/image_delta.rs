//! Newer images that are rebuilt from older ones and the deltas that a server has.

use std::path::Path;
use std::time::Duration;

use rlxc_tests::archive::{Archive, fingerprint, metadata, noise, xz};
use rlxc_tests::image_server::{ImageServer, Product, architecture};
use rlxc_tests::process::{Run, eventually};
use rlxc_tests::{image, require};
use serde_json::{Value, json};

use super::cancel::{begin, cancel_half_way, look};
use super::host::Host;

const SOON: Duration = Duration::from_secs(60);
const META: &str = "lxd.tar.xz";
const ROOT: &str = "squashfs";
const DELTA: &str = "squashfs.vcdiff";

/// Two versions of a root file system, and a server that has images of them.
struct Bench {
    work: tempfile::TempDir,
    roots: [Vec<u8>; 2],
    server: ImageServer,
    host: Host,
}

impl Bench {
    #[track_caller]
    fn new() -> Self {
        let work = tempfile::tempdir().unwrap();
        let random = noise(1);
        let roots = ["1", "2"].map(|version| {
            let dir = work.path().join(version);
            std::fs::create_dir(&dir).unwrap();
            let files: [(&str, &[u8]); 2] =
                [("etc/version", version.as_bytes()), ("root/noise", &random)];
            image::busybox_squashfs_with(&dir, &files).unwrap().1
        });
        let server = ImageServer::http().unwrap();
        let host = Host::start_with(&[("no_proxy", "127.0.0.1")]);
        let url = server.url().to_owned();
        host.ok(&["remote", "add", "ours", &url, "--protocol", "simplestreams"]);
        Self {
            work,
            roots,
            server,
            host,
        }
    }

    /// What xdelta3 says of the difference between the first root and this.
    #[track_caller]
    fn delta(&self, new: &[u8], options: &[&str]) -> Vec<u8> {
        let path = |name: &str| self.work.path().join(name).display().to_string();
        std::fs::write(path("old.squashfs"), &self.roots[0]).unwrap();
        std::fs::write(path("new.squashfs"), new).unwrap();
        let (old, new, out) = (path("old.squashfs"), path("new.squashfs"), path("delta"));
        let argv = ["xdelta3", "-e", "-f", "-s", &old].into_iter();
        let argv = argv.chain(options.iter().copied()).chain([&*new, &*out]);
        Run::new(argv).ok().unwrap();
        std::fs::read(out).unwrap()
    }

    /// Publishes a version without, or the second one with a delta; gives back the fingerprint.
    fn publish(&self, alias: &str, version: usize, delta: Option<(&[u8], Value)>) -> String {
        let description = format!("{alias} {version}");
        let meta = Archive::new().file("metadata.yaml", 0o644, metadata(&description).as_bytes());
        let meta = xz(&meta.finish()).unwrap();
        let root = &self.roots[version - 1];
        let combined = fingerprint(&[&meta, root]);
        let mut files: Vec<(&str, &[u8], Value)> = vec![
            (META, &meta, json!({"combined_squashfs_sha256": combined})),
            (ROOT, root, Value::Null),
        ];
        files.extend(delta.map(|(content, fields)| (DELTA, content, fields)));
        let serial = version.to_string();
        let product = Product {
            aliases: alias,
            architecture: architecture(),
            serial: &serial,
        };
        self.server.publish(product, &files);
        combined
    }

    /// The root file system of an image is in the store as the server has it.
    #[track_caller]
    fn assert_stored(&self, fingerprint: &str, version: usize) {
        let path = self.host.daemon.dir().join("images").join(fingerprint);
        let stored = std::fs::read(path.with_extension("rootfs")).unwrap();
        assert!(stored == self.roots[version - 1]);
    }
}

/// What the list says of a delta on the first version.
fn on_first() -> Value {
    json!({"delta_base": "1"})
}

#[test]
fn a_refresh_fetches_the_delta_and_no_more() {
    require!(root);
    require!(tool "mksquashfs");
    require!(tool "xdelta3");
    let bench = Bench::new();
    let (host, server) = (&bench.host, &bench.server);
    let first = bench.publish("busybox", 1, None);
    host.ok(&["launch", "ours:busybox", "c1"]);
    assert_eq!(server.asked(), [META, ROOT]);
    let delta = bench.delta(&bench.roots[1], &[]);
    assert!(delta.len() < bench.roots[1].len() / 4, "{}", delta.len());
    let second = bench.publish("busybox", 2, Some((&delta, on_first())));
    let refreshed = host.ok(&["image", "refresh", &first]);
    assert!(refreshed.contains("refreshed"), "{refreshed}");
    assert_eq!(server.asked(), [META, DELTA]);
    let images = host.images();
    assert_eq!(images.len(), 1);
    assert_eq!(images[0]["fingerprint"], *second);
    bench.assert_stored(&second, 2);
    host.assert_tidy();
    host.ok(&["launch", "ours:busybox", "c2"]);
    assert_eq!(server.asked(), Vec::<String>::new());
    for (name, version) in [("c1", "1"), ("c2", "2")] {
        let told = host.ok(&["exec", name, "--", "cat", "/etc/version"]);
        assert_eq!(told, version, "{name}");
    }
    host.ok(&["delete", "-f", "c1", "c2"]);
}

/// A delta that can't be used: a name for it, its content, what the list says of it, and what the daemon's log does.
type Useless = (&'static str, Vec<u8>, Value, &'static str);

#[track_caller]
fn useless(bench: &Bench) -> Vec<Useless> {
    let good = bench.delta(&bench.roots[1], &[]);
    let mut other = bench.roots[1].clone();
    other[5000] ^= 1;
    let other = bench.delta(&other, &[]);
    // 64 MiB in a few bytes, where less than two are expected.
    let bomb = bench.delta(&vec![0; 64 << 20], &[]);
    assert!(bomb.len() < good.len());
    let djw = bench.delta(&bench.roots[1], &["-S", "djw"]);
    let with = |field: &str, value: Value| json!({"delta_base": "1", field: value});
    let (half, shorter) = (good[..good.len() / 2].to_vec(), json!(good.len() - 1));
    let hash = with("sha256", json!("ab".repeat(32)));
    vec![
        ("damaged", good.clone(), hash, "its hash is"),
        ("other", other, on_first(), "what it makes has the hash"),
        ("bomb", bomb, on_first(), "the delta makes more than"),
        ("djw", djw, on_first(), "compressed otherwise than by LZMA"),
        ("cut", half, on_first(), "read the delta"),
        (
            "none",
            b"nothing".to_vec(),
            on_first(),
            "not begin like one",
        ),
        ("longer", good, with("size", shorter), "bytes instead of"),
    ]
}

#[test]
fn a_delta_that_is_of_no_use_costs_nothing_but_time() {
    require!(root);
    require!(tool "mksquashfs");
    require!(tool "xdelta3");
    let bench = Bench::new();
    for (alias, content, fields, told) in useless(&bench) {
        refresh_to_second(&bench, alias, (&content, fields), &[META, DELTA, ROOT]);
        let log = bench.host.daemon.log_tail();
        assert!(log.contains(told), "{alias}: {log}");
    }
    // One that saves nothing, and one on what nobody has, are not even asked for.
    let big = json!({"delta_base": "1", "size": 1 << 30});
    for (alias, fields) in [("big", big), ("baseless", json!({"delta_base": "0"}))] {
        refresh_to_second(&bench, alias, (b"delta", fields), &[META, ROOT]);
    }
}

/// Has the first image and refreshes it to the second one, which has that delta; `asked` is what is fetched.
#[track_caller]
fn refresh_to_second(bench: &Bench, alias: &str, delta: (&[u8], Value), asked: &[&str]) {
    let (host, server) = (&bench.host, &bench.server);
    let first = bench.publish(alias, 1, None);
    host.ok(&["image", "copy", &format!("ours:{alias}"), "local:"]);
    let second = bench.publish(alias, 2, Some(delta));
    server.asked();
    let refreshed = host.ok(&["image", "refresh", &first]);
    assert!(refreshed.contains("refreshed"), "{alias}: {refreshed}");
    assert_eq!(server.asked(), asked, "{alias}");
    assert_eq!(host.images()[0]["fingerprint"], *second, "{alias}");
    bench.assert_stored(&second, 2);
    host.assert_tidy();
    host.ok(&["image", "delete", &second]);
}

#[test]
fn only_an_older_image_of_the_same_project_counts() {
    require!(root);
    require!(tool "mksquashfs");
    require!(tool "xdelta3");
    let bench = Bench::new();
    let (host, server) = (&bench.host, &bench.server);
    host.ok(&["project", "create", "other"]);
    host.ok(&["project", "create", "guest", "-c", "features.images=false"]);
    bench.publish("busybox", 1, None);
    host.ok(&["image", "copy", "ours:busybox", "local:"]);
    let delta = bench.delta(&bench.roots[1], &[]);
    let second = bench.publish("busybox", 2, Some((&delta, on_first())));
    server.asked();
    let copy = [
        "image",
        "copy",
        "ours:busybox",
        "local:",
        "--target-project",
    ];
    host.ok(&[&copy[..], &["other"]].concat());
    assert_eq!(server.asked(), [META, ROOT]);
    // Its images are those of the default project.
    host.ok(&[&copy[..], &["guest"]].concat());
    assert_eq!(server.asked(), [META, DELTA]);
    bench.assert_stored(&second, 2);
    host.assert_tidy();
}

#[test]
fn a_refresh_that_ends_early_leaves_the_older_image() {
    require!(root);
    require!(tool "mksquashfs");
    require!(tool "xdelta3");
    let mut bench = Bench::new();
    let first = bench.publish("busybox", 1, None);
    bench.host.ok(&["image", "copy", "ours:busybox", "local:"]);
    let delta = bench.delta(&bench.roots[1], &[]);
    let second = bench.publish("busybox", 2, Some((&delta, on_first())));
    bench.server.stall(DELTA);
    let refresh = format!("/1.0/images/{first}/refresh");
    let assert_as_before = |host: &Host| {
        let images = host.images();
        assert_eq!(
            (images.len(), &images[0]["fingerprint"]),
            (1, &json!(first))
        );
    };
    cancel_half_way(&bench.host.daemon, &refresh, &Value::Null);
    bench.host.assert_tidy();
    assert_as_before(&bench.host);
    let operation = begin(&bench.host.daemon, &refresh, &Value::Null);
    eventually("the delta comes", SOON, || {
        let progress =
            look(&bench.host.daemon, &operation)["metadata"]["download_progress"].clone();
        progress
            .as_str()
            .is_some_and(|text| text.starts_with("rootfs delta: "))
    });
    bench.host.daemon.kill();
    bench.host.daemon.start();
    assert_as_before(&bench.host);
    let scratch = bench.host.daemon.dir().join("scratch");
    let is_empty = |path: &Path| std::fs::read_dir(path).unwrap().next().is_none();
    eventually("it is cleared away", SOON, || is_empty(&scratch));
    // The server answers again, and the older image goes while the newer one comes: that one stays.
    bench.server.stall("nothing");
    let operation = begin(&bench.host.daemon, &refresh, &Value::Null);
    let old = format!("/1.0/images/{first}");
    let deleted = rlxc_tests::api::ask(&bench.host.daemon, "DELETE", &old, "", "");
    assert_eq!(deleted.status, 202, "{}", deleted.body);
    let mut ended = Value::Null;
    eventually("it ends", SOON, || {
        ended = look(&bench.host.daemon, &operation);
        ended["status_code"].as_i64().unwrap() >= 200
    });
    assert_eq!(ended["status"], "Success", "{ended:#}");
    let images = bench.host.images();
    assert_eq!(images.len(), 1, "{ended:#}");
    bench.assert_stored(&second, 2);
    bench.host.assert_tidy();
}
