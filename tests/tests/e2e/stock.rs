//! Servers of others: a real LXD, or a real Incus, in a world of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use rlxc_tests::process::{Output, eventually};
use rlxc_tests::{Daemon, Uplink, World, has_tool, source_tree};
use tempfile::TempDir;

use super::migrate::listen;

/// Which of them, and where its programs are.
#[derive(Debug, Clone)]
pub(super) struct Kind {
    /// The client.
    pub(super) client: String,
    daemon: String,
    /// What its environment variables begin with.
    pub(super) prefix: &'static str,
    init: &'static [&'static str],
    /// Verbs of snapshots of volumes that the two name differently.
    pub(super) restore_volume: &'static [&'static str],
    /// Where the package is unpacked that is not installed.
    unpacked: Option<PathBuf>,
}

impl Kind {
    /// The distribution's LXD, if it is installed.
    pub(super) fn lxd() -> Option<Self> {
        has_tool("lxd").then(|| Self {
            client: "lxc".to_owned(),
            daemon: "lxd".to_owned(),
            prefix: "LXD",
            init: &["lxd", "init", "--auto"],
            restore_volume: &["restore"],
            unpacked: None,
        })
    }

    /// The Incus that `scripts/packages` fetches.
    pub(super) fn incus() -> Option<Self> {
        let place = source_tree().join("target/incus");
        let program = |path: &str| place.join(path).display().to_string();
        let (client, daemon) = (
            program("usr/bin/incus"),
            program("usr/libexec/incus/incusd"),
        );
        let is_there = Path::new(&daemon).is_file();
        is_there.then_some(Self {
            client,
            daemon,
            prefix: "INCUS",
            init: &["incus", "admin", "init", "--minimal"],
            restore_volume: &["snapshot", "restore"],
            unpacked: Some(place),
        })
    }

    fn environment(&self, dir: &Path) -> Vec<String> {
        let variable = |key: &str, name: &str| {
            let path = dir.join(name);
            format!("{}_{key}={}", self.prefix, path.display())
        };
        let mut all = vec![variable("DIR", "d"), variable("CONF", "conf")];
        if let Some(place) = &self.unpacked {
            let (place, arch) = (place.display(), std::env::consts::ARCH);
            all.push(format!("LD_LIBRARY_PATH={place}/usr/lib/{arch}-linux-gnu"));
            all.push(format!(
                "PATH={place}/usr/bin:/usr/sbin:/usr/bin:/sbin:/bin"
            ));
        }
        all
    }
}

/// One with its defaults, listening.
pub(super) struct Stock {
    pub(super) kind: Kind,
    world: World,
    daemon: Child,
    dir: TempDir,
    /// Of the server of ours.
    other: &'static str,
}

impl Stock {
    /// In a world with a cable to that of a server of ours, which listens at the other end.
    #[track_caller]
    pub(super) fn beside(ours: &Daemon, kind: Kind) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("rlxc-stock.")
            .tempdir_in("/var/tmp")
            .unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(dir.path(), open).unwrap();
        std::fs::create_dir(dir.path().join("d")).unwrap();
        let world = World::new(Uplink::Isolated).unwrap();
        let [address, other] = world.connect(ours.world());
        listen(ours, other);
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let line = ["env".to_owned()].into_iter();
        let line = line.chain(kind.environment(dir.path()));
        let program = [kind.daemon.clone(), "--group".to_owned(), "root".to_owned()];
        let daemon = world
            .enter(line.chain(program))
            .command()
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let init = kind.init;
        let stock = Self {
            kind,
            world,
            daemon,
            dir,
            other,
        };
        eventually("it answers", Duration::from_secs(60), || {
            stock.client(&["list"]).code == 0
        });
        let done = stock.run(init.iter().map(|&word| word.to_owned()));
        assert!(done.code == 0, "{done}");
        stock.ok(&[
            "config",
            "set",
            "core.https_address",
            &format!("{address}:8443"),
        ]);
        stock
    }

    fn run(&self, line: impl IntoIterator<Item = String>) -> Output {
        let words = ["env".to_owned()].into_iter();
        let words = words
            .chain(self.kind.environment(self.dir.path()))
            .chain(line);
        let run = self.world.enter(words).deadline(Duration::from_secs(120));
        run.output().unwrap()
    }

    fn client(&self, args: &[&str]) -> Output {
        let args = args.iter().map(|&word| word.to_owned());
        self.run([self.kind.client.clone()].into_iter().chain(args))
    }

    /// Types a line after its client's name.
    #[track_caller]
    pub(super) fn ok(&self, args: &[&str]) -> String {
        let output = self.client(args);
        let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        let tail: Vec<&str> = log.lines().rev().take(15).collect();
        assert!(output.code == 0, "{args:?}: {output}\n{}", tail.join("\n"));
        output.stdout.trim_end().to_owned()
    }

    /// Makes a daemon of ours known to it, as the remote `box`.
    #[track_caller]
    pub(super) fn know(&self, ours: &Daemon) {
        let token = ours.cli().ok(["-q", "config", "trust", "add", "stock"]);
        let url = format!("https://{}:8443", self.other);
        let add = ["remote", "add", "box"];
        if self.kind.prefix == "LXD" {
            let by_token = [&url, "--accept-certificate", "--password", &token];
            self.ok(&[&add[..], &by_token].concat());
        } else {
            self.ok(&[&add[..], &[&token]].concat());
        }
    }

    /// A file beside its directory, for things that are carried by hand.
    pub(super) fn file(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// The content of a custom volume of its default pool.
    pub(super) fn volume(&self, name: &str) -> PathBuf {
        let custom = self.dir.path().join("d/storage-pools/default/custom");
        custom.join(format!("default_{name}"))
    }
}

impl Drop for Stock {
    fn drop(&mut self) {
        let _gone = self.daemon.kill().is_ok() && self.daemon.wait().is_ok();
    }
}
