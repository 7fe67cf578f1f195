//! The API over TLS: another client on the network, whom the daemon trusts or not.

use std::path::PathBuf;

use rlxc_tests::cli::complaint;
use rlxc_tests::process::{Output, Run};
use rlxc_tests::{Daemon, require};

/// Another user of another machine, as far as files go: a configuration of its own, and no socket.
pub(super) struct Far<'a> {
    daemon: &'a Daemon,
    conf: PathBuf,
}

impl<'a> Far<'a> {
    pub(super) fn new(daemon: &'a Daemon, name: &str) -> Self {
        let conf = daemon.dir().with_file_name(name);
        Self { daemon, conf }
    }

    fn command(&self, args: &[&str]) -> Run {
        let mut line = vec![
            "env".to_owned(),
            "RLXC_DIR=/nonexistent".to_owned(),
            format!("RLXC_CONF={}", self.conf.display()),
            rlxc_tests::binaries().join("rlxc").display().to_string(),
        ];
        line.extend(args.iter().map(|&arg| arg.to_owned()));
        self.daemon.world().enter(line)
    }

    #[track_caller]
    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    #[track_caller]
    pub(super) fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.code == 0, "{output}");
        output.stdout.trim_end().to_owned()
    }

    #[track_caller]
    pub(super) fn fails(&self, args: &[&str]) -> String {
        complaint(&self.run(args))
    }
}

pub(super) fn listening() -> Daemon {
    let daemon = Daemon::initialized();
    daemon
        .cli()
        .ok(["config", "set", "core.https_address=127.0.0.1:8443"]);
    daemon
}

#[track_caller]
pub(super) fn token(daemon: &Daemon, name: &str) -> String {
    daemon.cli().ok(["-q", "config", "trust", "add", name])
}

#[test]
fn a_token_lets_another_host_work_with_every_verb() {
    require!(root);
    let daemon = listening();
    rlxc_tests::image::import_busybox(&daemon);
    let far = Far::new(&daemon, "far");
    far.ok(&["remote", "add", "box", &token(&daemon, "far")]);
    assert!(
        far.ok(&["remote", "list"])
            .contains("https://127.0.0.1:8443")
    );
    assert_eq!(far.ok(&["launch", "box:busybox", "box:c1"]), "Launched c1");
    assert_eq!(far.ok(&["exec", "box:c1", "--", "hostname"]), "c1");
    let output = far
        .command(&["exec", "box:c1", "--", "sh", "-c", "cat; exit 7"])
        .stdin("through")
        .output()
        .unwrap();
    assert_eq!((output.code, output.stdout.as_str()), (7, "through"));
    daemon.cli().wait_ipv4("c1");
    assert!(
        far.ok(&["console", "box:c1", "--show-log"])
            .contains("booting busybox")
    );
    far.ok(&["remote", "switch", "box"]);
    assert_eq!(far.ok(&["remote", "get-default"]), "box");
    assert!(far.ok(&["list", "-c", "ns", "-f", "csv"]).contains("c1,"));
    far.ok(&["snapshot", "create", "c1", "s0"]);
    let file = daemon.dir().with_file_name("pushed");
    std::fs::write(&file, "content").unwrap();
    far.ok(&["file", "push", &file.to_string_lossy(), "c1/root/a:b"]);
    assert_eq!(far.ok(&["file", "pull", "box:c1/root/a:b", "-"]), "content");
    far.ok(&["delete", "-f", "c1"]);
}

#[test]
fn a_remote_is_served_on_a_socket_for_programs_without_tls() {
    require!(root);
    let daemon = listening();
    rlxc_tests::image::import_busybox(&daemon);
    daemon.cli().ok(["launch", "busybox", "c1"]);
    let far = Far::new(&daemon, "far");
    far.ok(&["remote", "generate-certificate"]);
    assert!(far.conf.join("client.crt").exists());
    let text = far.fails(&["remote", "generate-certificate"]);
    assert!(text.contains("there is a certificate already"), "{text}");
    far.ok(&["remote", "add", "box", &token(&daemon, "far")]);

    let socket = daemon.dir().with_file_name("far.socket");
    let path = socket.to_string_lossy().into_owned();
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap()); // A proxy that was killed leaves its socket.
    let proxy = far.command(&["remote", "proxy", "box:", &path, "--timeout", "2"]);
    std::thread::scope(|scope| {
        let serving = scope.spawn(|| proxy.output().unwrap());
        let through = far
            .command(&["exec", "c1", "--", "sh", "-c", "cat; exit 7"])
            .env("RLXC_SOCKET", &path)
            .stdin("through");
        let answered = || {
            let output = through.output().unwrap();
            (output.code, output.stdout) == (7, "through".to_owned())
        };
        rlxc_tests::process::eventually(
            "the proxy carries a command",
            rlxc_tests::process::DEADLINE,
            answered,
        );
        let text = far.fails(&["remote", "proxy", "box:", &path]);
        assert!(text.contains("already and in use"), "{text}");
        assert_eq!(serving.join().unwrap().code, 0);
    });
    assert!(!socket.exists());
    let text = far.fails(&["remote", "proxy", "nowhere:", &path]);
    assert!(text.contains("no remote `nowhere`"), "{text}");
}

#[test]
fn strangers_used_tokens_and_forgers_are_refused() {
    require!(root);
    let daemon = listening();
    let used = token(&daemon, "first");
    let first = Far::new(&daemon, "first");
    first.ok(&["remote", "add", "box", "127.0.0.1", &used]);
    let second = Far::new(&daemon, "second");
    let text = second.fails(&["remote", "add", "box", "127.0.0.1", &used]);
    assert!(text.contains("one works once"), "{text}");
    assert!(
        second
            .ok(&["remote", "list"])
            .lines()
            .all(|line| !line.contains("8443"))
    );
    // Nobody says whether the certificate is the right one.
    let text = second.fails(&["remote", "add", "box", "127.0.0.1"]);
    assert!(text.contains("--accept-certificate"), "{text}");
    let text = second.fails(&["remote", "add", "box", "127.0.0.1", "--accept-certificate"]);
    assert!(text.contains("does not trust this client yet"), "{text}");
    // Whose certificate is taken out is out at once.
    let trusted = daemon.cli().ok(["config", "trust", "list", "-f", "json"]);
    let trusted: serde_json::Value = serde_json::from_str(&trusted).unwrap();
    let fingerprint = trusted[0]["fingerprint"].as_str().unwrap().to_owned();
    first.ok(&["list", "box:"]);
    daemon
        .cli()
        .ok(["config", "trust", "remove", &fingerprint[..12]]);
    let text = first.fails(&["list", "box:"]);
    assert!(text.contains("not authorized"), "{text}");
    // Another server at the same address.
    let pinned = daemon
        .dir()
        .with_file_name("first")
        .join("servercerts/box.crt");
    let own = daemon.dir().with_file_name("first").join("client.crt");
    std::fs::copy(own, pinned).unwrap();
    let text = first.fails(&["list", "box:"]);
    assert!(text.contains("another certificate"), "{text}");
}

#[test]
fn tokens_and_trust_outlive_the_daemon() {
    require!(root);
    let mut daemon = listening();
    let (before, after) = (token(&daemon, "before"), token(&daemon, "after"));
    Far::new(&daemon, "before").ok(&["remote", "add", "box", &before]);
    daemon.kill();
    daemon.start();
    Far::new(&daemon, "before").ok(&["list", "box:"]);
    let tokens = daemon
        .cli()
        .ok(["config", "trust", "list-tokens", "-f", "csv"]);
    assert!(
        tokens.contains(&after) && !tokens.contains(&before),
        "{tokens}"
    );
    Far::new(&daemon, "after").ok(&["remote", "add", "box", &after]);
    let revoked = token(&daemon, "revoked");
    daemon
        .cli()
        .ok(["config", "trust", "revoke-token", "revoked"]);
    Far::new(&daemon, "revoked").fails(&["remote", "add", "box", &revoked]);
}

#[test]
fn addresses_change_at_run_time() {
    require!(root);
    let daemon = listening();
    let cli = daemon.cli();
    let far = Far::new(&daemon, "far");
    far.ok(&["remote", "add", "box", &token(&daemon, "far")]);
    cli.ok([
        "config",
        "set",
        "core.https_address=127.0.0.1:9443,[::1]:9443",
    ]);
    let text = far.fails(&["list", "box:"]);
    assert!(text.contains("core.https_address"), "{text}");
    far.ok(&["remote", "set-url", "box", "127.0.0.1:9443"]);
    far.ok(&["list", "box:"]);
    far.ok(&["remote", "set-url", "box", "https://[::1]:9443"]);
    far.ok(&["list", "box:"]);
    // One that is in use changes nothing.
    let mut other = daemon
        .world()
        .enter(["busybox", "nc", "-l", "-p", "7443"])
        .command()
        .spawn()
        .unwrap();
    rlxc_tests::process::eventually(
        "the port is taken",
        std::time::Duration::from_secs(5),
        || daemon.world().run(&["ss", "-ltn"]).stdout.contains(":7443"),
    );
    let text = cli.fails(["config", "set", "core.https_address=127.0.0.1:7443"]);
    assert!(text.contains("listen on 127.0.0.1:7443"), "{text}");
    far.ok(&["list", "box:"]);
    assert!(
        cli.ok(["config", "get", "core.https_address"])
            .contains("9443")
    );
    other.kill().unwrap();
    other.wait().unwrap();
    // All addresses in place of one of them.
    cli.ok(["config", "set", "core.https_address=:9443"]);
    far.ok(&["list", "box:"]);
    cli.fails(["config", "set", "core.https_address=there:x"]);
    cli.ok(["config", "unset", "core.https_address"]);
    far.fails(&["list", "box:"]);
}

#[test]
fn names_that_collide_are_told() {
    require!(root);
    let daemon = listening();
    let far = Far::new(&daemon, "far");
    far.ok(&["remote", "add", "box", &token(&daemon, "far")]);
    let text = far.fails(&["remote", "add", "box", "10.0.0.1"]);
    assert!(text.contains("there is a remote `box` already"), "{text}");
    far.fails(&["remote", "add", "local", "10.0.0.1"]);
    far.fails(&["remote", "add", "a/b", "10.0.0.1"]);
    far.ok(&["remote", "rename", "box", "bax"]);
    far.ok(&["list", "bax:"]);
    let text = far.fails(&["list", "box:"]);
    assert!(
        text.contains("did you mean") && text.contains("bax"),
        "{text}"
    );
    far.fails(&["remote", "remove", "local"]);
    far.ok(&["remote", "remove", "bax"]);
    far.fails(&["list", "bax:"]);
}

#[test]
fn the_trust_password_lets_old_clients_in() {
    require!(root);
    let daemon = listening();
    let cli = daemon.cli();
    cli.ok(["config", "set", "core.trust_password=sesame"]);
    assert_eq!(cli.ok(["config", "get", "core.trust_password"]), "true");
    let far = Far::new(&daemon, "far");
    let add = [
        "remote",
        "add",
        "box",
        "127.0.0.1",
        "--accept-certificate",
        "--password",
    ];
    far.fails(&[&add[..], &["wrong"]].concat());
    far.ok(&[&add[..], &["sesame"]].concat());
    far.ok(&["list", "box:"]);
}

/// The client of the distribution, unchanged.
struct Lxc<'a> {
    daemon: &'a Daemon,
    conf: &'static str,
}

impl Lxc<'_> {
    #[track_caller]
    fn ok(&self, args: &[&str]) -> String {
        let dir = self.daemon.dir();
        let mut line = vec![
            "env".to_owned(),
            format!("LXD_DIR={}", dir.display()),
            format!("LXD_CONF={}", dir.with_file_name(self.conf).display()),
            format!("HOME={}", dir.with_file_name(self.conf).display()),
            "lxc".to_owned(),
        ];
        line.extend(args.iter().map(|&arg| arg.to_owned()));
        let output = self.daemon.world().enter(line).output().unwrap();
        assert!(output.code == 0, "{output}\n{}", self.daemon.log_tail());
        output.stdout.trim_end().to_owned()
    }
}

fn walk(lxc: &Lxc<'_>, remote: &str) {
    let at = |name: &str| format!("{remote}{name}");
    lxc.ok(&["launch", &at("busybox"), &at("l1")]);
    assert!(
        lxc.ok(&["list", remote, "-c", "ns", "-f", "csv"])
            .contains("l1,RUNNING")
    );
    assert_eq!(lxc.ok(&["exec", &at("l1"), "--", "hostname"]), "l1");
    lxc.ok(&["config", "set", &at("l1"), "user.note=x"]);
    assert_eq!(lxc.ok(&["config", "get", &at("l1"), "user.note"]), "x");
    lxc.ok(&["info", &at("l1")]);
    lxc.ok(&["snapshot", &at("l1"), "s0"]);
    lxc.ok(&["restore", &at("l1"), "s0"]);
    lxc.ok(&["file", "push", "/etc/hostname", &at("l1/root/pushed")]);
    lxc.ok(&["file", "pull", &at("l1/root/pushed"), "-"]);
    lxc.ok(&["stop", "-f", &at("l1")]);
    lxc.ok(&["start", &at("l1")]);
    lxc.ok(&["restart", "-f", &at("l1")]);
    for list in [
        &["image", "list"][..],
        &["network", "list"],
        &["profile", "list"],
        &["storage", "list"],
        &["project", "list"],
        &["operation", "list"],
    ] {
        lxc.ok(&[list, &[remote]].concat());
    }
    lxc.ok(&["profile", "show", &at("default")]);
    lxc.ok(&["delete", "-f", &at("l1")]);
}

#[test]
fn the_lxc_client_of_the_distribution_works_unchanged() {
    require!(root);
    require!(tool "lxc");
    let daemon = listening();
    rlxc_tests::image::import_busybox(&daemon);
    let lxc = Lxc {
        daemon: &daemon,
        conf: "lxc",
    };
    walk(&lxc, "local:");
    let token = |name: &str| {
        let out = lxc.ok(&["config", "trust", "add", "--name", name]);
        out.lines().last().unwrap_or_default().trim().to_owned()
    };
    lxc.ok(&["remote", "add", "box", &token("lxc")]);
    walk(&lxc, "box:");
    assert!(lxc.ok(&["config", "trust", "list", "box:"]).contains("lxc"));
    let unused = token("unused");
    assert!(
        lxc.ok(&["config", "trust", "list-tokens"])
            .contains(&unused)
    );
    lxc.ok(&["config", "trust", "revoke-token", "unused"]);
    lxc.ok(&["config", "set", "core.trust_password", "sesame"]);
    let other = Lxc {
        daemon: &daemon,
        conf: "other",
    };
    let url = "https://127.0.0.1:8443";
    other.ok(&[
        "remote",
        "add",
        "again",
        url,
        "--password",
        "sesame",
        "--accept-certificate",
    ]);
    other.ok(&["list", "again:"]);
}
