//! The clients of LXD and of Incus, unchanged, through the whole list of their verbs: what both have, and the walk itself.

use std::collections::BTreeSet;
use std::path::PathBuf;

use rlxc_tests::Daemon;
use rlxc_tests::process::{Output, Run};

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

pub(super) const CONFIG: &[Step] = &[
    line("config set l1 user.note=x"),
    shows("config get l1 user.note", "x"),
    line("config unset l1 user.note"),
    shows("config show l1", "architecture:"),
    reads(
        "config edit l3",
        "description: edited\nprofiles: [default]\n",
    ),
    shows("config show l3", "description: edited"),
    line("config set user.server=1"),
    shows("config get user.server", "1"),
    line("config unset user.server"),
    shows("config show", "config"),
    line("config device add l3 data disk source={dir} path=/data"),
    shows("config device list l3", "data"),
    shows("config device get l3 data path", "/data"),
    line("config device set l3 data readonly=true"),
    line("config device unset l3 data readonly"),
    shows("config device show l3", "source:"),
    line("config device override l3 eth0 mtu=1400"),
    line("config device remove l3 data"),
    shows("config metadata show l3", "architecture"),
    reads(
        "config metadata edit l3",
        "architecture: x86_64\ncreation_date: 1\nproperties: {os: busybox}\n",
    ),
    line("config template create l3 hello.tpl"),
    shows("config template list l3", "hello.tpl"),
    reads("config template edit l3 hello.tpl", "{{ instance.name }}"),
    shows("config template show l3 hello.tpl", "instance.name"),
    line("config template delete l3 hello.tpl"),
];

pub(super) const FILES: &[Step] = &[
    line("file push /etc/hostname l1/root/pushed --mode 0600"),
    line("file push -r -p {dir}/tree l1/root/"),
    shows("file pull l1/root/pushed -", ""),
    line("file pull -r l1/root/tree {dir}/back"),
    line("file delete l1/root/pushed"),
];

pub(super) const IMAGES: &[Step] = &[
    shows("image list -f csv", "published"),
    shows("image info published", "Fingerprint:"),
    shows("image show published", "properties:"),
    line("image set-property published description new"),
    shows("image get-property published description", "new"),
    line("image unset-property published description"),
    reads(
        "image edit published",
        "public: false\nproperties: {os: busybox}\n",
    ),
    line("image export published {dir}/image"),
    line("image delete published"),
    line("image import {image} --alias again"),
    line("image alias create more {again}"),
    shows("image alias list", "more"),
    line("image alias rename more most"),
    line("image alias delete most"),
    line("image delete published2"),
];

pub(super) const NETWORKS: &[Step] = &[
    line("network create n0 ipv4.address=10.99.0.1/24 ipv6.address=none"),
    shows("network list -f csv", "n0"),
    shows("network show n0", "10.99.0.1/24"),
    shows("network info n0", "IP addresses"),
    line("network set n0 user.x=1"),
    shows("network get n0 user.x", "1"),
    line("network unset n0 user.x"),
    reads(
        "network edit n0",
        "description: edited\nconfig: {ipv4.address: 10.99.0.1/24, ipv6.address: none}\n",
    ),
    line("network attach n0 l3 eth1"),
    line("network detach n0 l3"),
    line("network attach-profile n0 default eth9"),
    line("network detach-profile n0 default"),
    shows("network list-leases rlxcbr0", "l1"),
    line("network forward create n0 192.0.2.10"),
    shows("network forward list n0", "192.0.2.10"),
    line("network forward port add n0 192.0.2.10 tcp 443 10.99.0.2"),
    shows("network forward show n0 192.0.2.10", "443"),
    line("network forward port remove n0 192.0.2.10 tcp 443"),
    line("network forward set n0 192.0.2.10 user.x=1"),
    shows("network forward get n0 192.0.2.10 user.x", "1"),
    line("network forward unset n0 192.0.2.10 user.x"),
    reads(
        "network forward edit n0 192.0.2.10",
        "description: edited\nconfig: {}\nports: []\n",
    ),
    line("network forward delete n0 192.0.2.10"),
    line("network acl create nossh"),
    line("network acl rule add nossh ingress action=drop protocol=tcp destination_port=22"),
    shows("network acl show nossh", "destination_port"),
    line("network acl rule remove nossh ingress action=drop protocol=tcp destination_port=22"),
    line("network acl set nossh user.x=1"),
    shows("network acl get nossh user.x", "1"),
    line("network acl unset nossh user.x"),
    reads(
        "network acl edit nossh",
        "description: edited\ningress: []\negress: []\nconfig: {}\n",
    ),
    shows("network acl list", "nossh"),
    line("network acl rename nossh nossh2"),
    line("network acl delete nossh2"),
    line("network zone create lab.example"),
    line("network zone set lab.example user.x=1"),
    shows("network zone get lab.example user.x", "1"),
    line("network zone unset lab.example user.x"),
    reads(
        "network zone edit lab.example",
        "description: zone\nconfig:\n  user.y: \"2\"\n",
    ),
    shows("network zone show lab.example", "user.y"),
    shows("network zone list", "lab.example"),
    line("network zone record create lab.example demo"),
    line("network zone record entry add lab.example demo A 192.0.2.7 --ttl 60"),
    shows("network zone record show lab.example demo", "192.0.2.7"),
    line("network zone record entry remove lab.example demo A 192.0.2.7"),
    line("network zone record set lab.example demo user.x=1"),
    shows("network zone record get lab.example demo user.x", "1"),
    line("network zone record unset lab.example demo user.x"),
    reads(
        "network zone record edit lab.example demo",
        "description: record\nentries: []\nconfig: {}\n",
    ),
    shows("network zone record list lab.example", "demo"),
    line("network zone record delete lab.example demo"),
    line("network zone delete lab.example"),
    line("network rename n0 n1"),
    line("network delete n1"),
];

pub(super) const PROFILES: &[Step] = &[
    line("profile create p0"),
    line("profile set p0 user.x=1"),
    shows("profile get p0 user.x", "1"),
    line("profile unset p0 user.x"),
    line("profile device add p0 data disk source={dir} path=/profile"),
    shows("profile device list p0", "data"),
    shows("profile device get p0 data path", "/profile"),
    line("profile device set p0 data readonly=true"),
    line("profile device unset p0 data readonly"),
    shows("profile device show p0", "source:"),
    line("profile device remove p0 data"),
    reads(
        "profile edit p0",
        "description: edited\nconfig: {}\ndevices: {}\n",
    ),
    shows("profile show p0", "edited"),
    shows("profile list -f csv", "p0"),
    line("profile copy p0 p1"),
    line("profile rename p1 p2"),
    line("profile add l3 p0"),
    line("profile remove l3 p0"),
    line("profile assign l3 default,p0"),
    line("profile assign l3 default"),
    line("profile delete p2"),
    line("profile delete p0"),
];

pub(super) const PROJECTS: &[Step] = &[
    line("project create team -c features.images=false"),
    shows("project list -f csv", "team"),
    shows("project show team", "features.images"),
    shows("project info team", "INSTANCES"),
    line("project set team limits.instances=3"),
    shows("project get team limits.instances", "3"),
    line("project unset team limits.instances"),
    reads(
        "project edit team",
        "description: edited\nconfig: {features.images: 'false', features.profiles: 'true'}\n",
    ),
    line("project switch team"),
    shows("list -f csv", ""),
    line("project switch default"),
    line("project rename team crew"),
    line("project delete crew"),
];

pub(super) const STORAGE: &[Step] = &[
    line("storage create plain dir"),
    shows("storage list -f csv", "plain"),
    shows("storage show plain", "driver: dir"),
    shows("storage info plain", "space"),
    line("storage set plain user.x=1"),
    shows("storage get plain user.x", "1"),
    line("storage unset plain user.x"),
    reads("storage edit plain", "description: edited\nconfig: {}\n"),
    line("storage volume create plain v0"),
    shows("storage volume list plain -f csv", "v0"),
    shows("storage volume show plain v0", "content_type"),
    shows("storage volume info plain v0", "v0"),
    line("storage volume set plain v0 user.x=1"),
    shows("storage volume get plain v0 user.x", "1"),
    line("storage volume unset plain v0 user.x"),
    reads(
        "storage volume edit plain v0",
        "description: edited\nconfig: {}\n",
    ),
    line("storage volume attach plain v0 l3 vol /vol"),
    line("storage volume detach plain v0 l3"),
    line("storage volume attach-profile plain v0 default vol /vol"),
    line("storage volume detach-profile plain v0 default"),
    line("storage volume export plain v0 {dir}/v0.tar.gz"),
    line("storage volume import plain {dir}/v0.tar.gz v5"),
    shows("storage volume list plain -f csv", "v5"),
    line("storage volume delete plain v5"),
    line("storage volume copy plain/v0 default/v1"),
    line("storage volume rename plain v0 v2"),
    line("storage volume move plain/v2 default/v4"),
    line("storage volume delete default v1"),
    line("storage volume delete default v4"),
    line("storage delete plain"),
];

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
    pub(super) fn walk<'s>(
        &self,
        steps: impl Iterator<Item = &'s Step>,
        filled: impl Fn(&str) -> String,
    ) {
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
