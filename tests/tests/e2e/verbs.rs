//! The clients of LXD and of Incus, unchanged, through the whole list of their verbs: what both have, and the walk itself.

mod lines;

use std::collections::BTreeSet;
use std::path::PathBuf;

use rlxc_tests::Daemon;
use rlxc_tests::process::{Output, Run};

pub(super) use self::lines::ELSEWHERE;
use self::lines::{
    ARCHIVES, CONFIG, FILES, IMAGES, INSTANCES, NETWORKS, PROFILES, PROJECTS, STORAGE, THE_REST,
};

/// A line as it is typed after the client's name, what it reads, and what it must print.
pub(super) struct Step(
    pub(super) &'static str,
    pub(super) &'static str,
    pub(super) &'static str,
);

/// A step that reads nothing.
pub(super) const fn line(text: &'static str) -> Step {
    Step(text, "", "")
}

/// A step that must print something.
pub(super) const fn shows(text: &'static str, shown: &'static str) -> Step {
    Step(text, "", shown)
}

/// A step that reads YAML.
pub(super) const fn reads(text: &'static str, yaml: &'static str) -> Step {
    Step(text, yaml, "")
}

/// What one client types otherwise than the other.
pub(super) struct Own {
    /// Makes `l0`.
    pub(super) first: &'static [Step],
    /// Leaves `l1` with the snapshot `s9`.
    pub(super) snapshots: &'static [Step],
    /// Certificates.
    pub(super) trust: &'static [Step],
    /// What only this one has.
    pub(super) rest: &'static [Step],
    /// After everything else.
    pub(super) last: &'static [Step],
}

/// The whole walk of a client.
pub(super) fn walk(own: &Own) -> Vec<&'static Step> {
    let all = [
        own.first,
        INSTANCES,
        own.snapshots,
        ARCHIVES,
        CONFIG,
        own.trust,
        FILES,
        IMAGES,
        NETWORKS,
        PROFILES,
        PROJECTS,
        STORAGE,
        own.rest,
        THE_REST,
        own.last,
    ];
    all.into_iter().flatten().collect()
}

/// A client of another project.
pub(super) struct Client<'a> {
    pub(super) daemon: &'a Daemon,
    /// The program's name or path.
    pub(super) program: String,
    /// What its environment variables begin with.
    pub(super) prefix: &'static str,
}

impl Client<'_> {
    /// Where it keeps its configuration.
    pub(super) fn home(&self) -> PathBuf {
        home(self.daemon)
    }

    pub(super) fn run(&self, line: &str, stdin: &str) -> Output {
        let words = [
            "env".to_owned(),
            format!("{}_DIR={}", self.prefix, self.daemon.dir().display()),
            format!("{}_CONF={}", self.prefix, self.home().display()),
            format!("HOME={}", self.home().display()),
            self.program.clone(),
        ];
        let words = words.into_iter().chain(line.split(' ').map(str::to_owned));
        let run = self.daemon.world().enter(words).stdin(stdin);
        run.output().unwrap()
    }

    #[track_caller]
    pub(super) fn ok(&self, line: &str) -> String {
        let output = self.run(line, "");
        assert!(output.code == 0, "{output}\n{}", self.daemon.log_tail());
        output.stdout
    }

    /// All verbs that it has, as its help tells them.
    pub(super) fn verbs(&self, path: &str) -> BTreeSet<String> {
        let help = self.ok(format!("{path} --help").trim_start());
        let Some((_, list)) = help.split_once("Available Commands:\n") else {
            return BTreeSet::from([path.to_owned()]);
        };
        let names = list.lines().take_while(|line| !line.trim().is_empty());
        names
            .filter_map(|line| line.split_whitespace().next())
            .filter(|name| !matches!(*name, "help" | "completion"))
            .flat_map(|name| self.verbs(format!("{path} {name}").trim_start()))
            .collect()
    }

    /// Types all steps, fails with all that went wrong.
    #[track_caller]
    pub(super) fn walk(&self, steps: &[&Step], filled: impl Fn(&str) -> String) {
        let certificate = std::fs::read(self.home().join("client.crt")).unwrap();
        let certificate = fingerprint(&certificate);
        let mut failed = Vec::new();
        for Step(line, stdin, shown) in steps {
            let mut line = filled(line).replace("{fingerprint}", &certificate);
            if line.contains("{again}") {
                let listed = self.ok("image list again -f json");
                let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
                let found = listed[0]["fingerprint"].as_str().unwrap_or_default();
                line = line.replace("{again}", found);
            }
            let output = self.run(&line, stdin);
            if output.code != 0 || !output.stdout.contains(shown) {
                failed.push(format!("{output}"));
            }
        }
        let count = failed.len();
        let failed = failed.join("\n");
        assert!(
            count == 0,
            "{count} lines failed:\n{failed}\n{}",
            self.daemon.log_tail()
        );
    }

    /// Fails if the client has a verb that is neither in the walk nor named as one that isn't there or can't be typed so.
    #[track_caller]
    pub(super) fn has_no_verb_but(&self, walk: &[&Step], left_out: &[&str]) {
        let begins = |line: &str, verb: &str| line == verb || line.starts_with(&format!("{verb} "));
        let walked = |verb: &String| {
            left_out.iter().any(|out| begins(verb, out))
                || walk.iter().any(|Step(line, ..)| begins(line, verb))
        };
        let missing = self.verbs("");
        let missing: Vec<&String> = missing.iter().filter(|verb| !walked(verb)).collect();
        assert!(missing.is_empty(), "not tried: {missing:?}");
    }
}

fn home(daemon: &Daemon) -> PathBuf {
    daemon.dir().with_file_name("verbs")
}

/// A daemon with the image, listening, and what fills the names in the lines.
pub(super) fn prepared() -> (Daemon, impl Fn(&str) -> String) {
    let daemon = Daemon::initialized();
    rlxc_tests::image::import_busybox(&daemon);
    daemon
        .cli()
        .ok(["config", "set", "core.https_address=127.0.0.1:8443"]);
    let dir = daemon.dir().with_file_name("verbs-files");
    std::fs::create_dir_all(dir.join("tree/deep")).unwrap();
    std::fs::create_dir_all(dir.join("back")).unwrap();
    std::fs::write(dir.join("tree/deep/file"), "content").unwrap();
    let token = daemon.cli().ok(["-q", "config", "trust", "add", "verbs"]);
    let conf = home(&daemon);
    let filled = move |line: &str| {
        let image = std::fs::read_dir(&dir)
            .unwrap()
            .flatten()
            .map(|entry| entry.path());
        let image = image
            .filter(|path| {
                path.file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with("image"))
            })
            .map(|path| path.display().to_string());
        line.replace("{dir}", &dir.display().to_string())
            .replace("{conf}", &conf.display().to_string())
            .replace("{token}", &token)
            .replace("{image}", &image.collect::<Vec<_>>().join(" "))
    };
    (daemon, filled)
}

/// The SHA-256 of a certificate in PEM, as LXD shows it.
fn fingerprint(pem: &[u8]) -> String {
    let run = Run::new(["openssl", "x509", "-noout", "-fingerprint", "-sha256"]);
    let output = run.stdin(pem).ok().unwrap();
    let (_, text) = output.stdout.split_once('=').unwrap();
    text.trim().replace(':', "").to_lowercase()
}
