//! A daemon that others reach, for tests with several.

use std::net::TcpListener;

use rlxc_tests::process::Output;
use rlxc_tests::{Daemon, Uplink};

/// A daemon that is open to the network of the host, with a pool and without a bridge.
pub(crate) struct Host {
    pub(crate) daemon: Daemon,
    port: u16,
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

impl Host {
    #[track_caller]
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with variables in the daemon's environment.
    #[track_caller]
    pub(crate) fn start_with(environment: &[(&str, &str)]) -> Self {
        let mut daemon = Daemon::prepared(Uplink::Shared);
        for (key, value) in environment {
            daemon.set_env(key, value);
        }
        daemon.start();
        let port = free_port();
        let cli = daemon.cli();
        cli.ok([
            "config",
            "set",
            &format!("core.https_address=127.0.0.1:{port}"),
        ]);
        cli.ok(["storage", "create", "default", "overlay"]);
        cli.ok([
            "profile",
            "device",
            "add",
            "default",
            "root",
            "disk",
            "path=/",
            "pool=default",
        ]);
        Self { daemon, port }
    }

    /// Makes another one known to this one's client, which it trusts.
    #[track_caller]
    pub(crate) fn add(&self, name: &str, other: &Self) {
        let token = other
            .daemon
            .cli()
            .ok(["-q", "config", "trust", "add", name]);
        self.ok(&["remote", "add", name, &other.address(), &token]);
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn conf(&self) -> String {
        self.daemon
            .dir()
            .with_file_name("conf")
            .display()
            .to_string()
    }

    #[track_caller]
    fn run(&self, args: &[&str]) -> Output {
        let mut line = vec![
            "env".to_owned(),
            format!("RLXC_DIR={}", self.daemon.dir().display()),
            format!("RLXC_CONF={}", self.conf()),
            rlxc_tests::binaries().join("rlxc").display().to_string(),
        ];
        line.extend(args.iter().map(|&arg| arg.to_owned()));
        self.daemon.world().enter(line).output().unwrap()
    }

    #[track_caller]
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.code == 0, "{output}\n{}", self.daemon.log_tail());
        output.stdout.trim_end().to_owned()
    }

    #[track_caller]
    pub(crate) fn fails(&self, args: &[&str]) -> String {
        rlxc_tests::cli::complaint(&self.run(args))
    }

    #[track_caller]
    pub(crate) fn images(&self) -> Vec<serde_json::Value> {
        serde_json::from_str(&self.ok(&["image", "list", "-f", "json"])).unwrap()
    }

    /// Nothing is left of what did not come about.
    #[track_caller]
    pub(crate) fn assert_tidy(&self) {
        let names = |part: &str| {
            let entries = std::fs::read_dir(self.daemon.dir().join(part))
                .into_iter()
                .flatten();
            entries
                .flatten()
                .map(|entry| entry.file_name())
                .collect::<Vec<_>>()
        };
        assert_eq!(names("scratch"), Vec::<std::ffi::OsString>::new());
        let known = self.images();
        for name in names("images") {
            let name = name.to_string_lossy();
            let is_known = known.iter().any(|image| {
                let fingerprint = image["fingerprint"].as_str().unwrap();
                name.starts_with(fingerprint)
            });
            assert!(is_known, "{name} stayed behind");
        }
    }
}
