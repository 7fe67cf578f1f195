//! TLS itself: what it costs, who waits for whom, certificates that are old, forged, revoked or new, and sockets that a
//! service manager opens.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rlxc_tests::process::{Output, eventually};
use rlxc_tests::{Daemon, require};

use super::remote::{Far, listening, token};

const ADDRESS: &str = "127.0.0.1:8443";

/// Runs a shell script in the daemon's world; it must succeed.
#[track_caller]
fn shell(daemon: &Daemon, script: &str) -> String {
    let output = run_shell(daemon, script);
    assert!(output.code == 0, "{output}");
    output.stdout
}

/// The same; it must not take long: nobody waits for a limit to be over.
#[track_caller]
fn quick(daemon: &Daemon, script: &str) -> String {
    let begun = Instant::now();
    let output = shell(daemon, script);
    let took = begun.elapsed();
    assert!(
        took < Duration::from_secs(15),
        "{took:?}: {script}\n{output}"
    );
    output
}

#[track_caller]
fn run_shell(daemon: &Daemon, script: &str) -> Output {
    daemon
        .world()
        .enter(["bash", "-c", script])
        .output()
        .unwrap()
}

/// A program that goes on in the daemon's world until this is dropped.
struct Running(Child);

impl Running {
    fn shell(daemon: &Daemon, script: &str) -> Self {
        let mut command = daemon.world().enter(["bash", "-c", script]).command();
        Self(
            command
                .stdout(Stdio::null())
                .stdin(Stdio::null())
                .spawn()
                .unwrap(),
        )
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _killed = self.0.kill().is_ok();
        let _ended = self.0.wait().is_ok();
    }
}

#[track_caller]
fn fingerprint(daemon: &Daemon) -> String {
    let shown = daemon.cli().ok(["query", "/internal/certificate"]);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    shown["fingerprint"].as_str().unwrap().to_owned()
}

/// A client certificate in the configuration directory of somebody, made by openssl(1) with more arguments.
fn write_identity(daemon: &Daemon, conf: &Path, more: &str) {
    let conf = conf.display();
    shell(
        daemon,
        &format!(
            "mkdir -p {conf} && cd {conf} && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes \
             -keyout client.key -out client.crt -subj /O=rlxc/CN=far {more} 2>&1"
        ),
    );
}

/// The same, good until a time that date(1) understands.
fn write_identity_until(daemon: &Daemon, conf: &Path, end: &str) {
    write_identity(daemon, conf, "");
    let conf = conf.display();
    let script = format!(
        "cd {conf} && touch index.txt && printf '%s\\n' [ca] default_ca=x [x] database=index.txt default_md=sha256 policy=any \
         unique_subject=no rand_serial=yes new_certs_dir=. [any] commonName=supplied > ca.cnf \
         && openssl req -new -key client.key -subj /CN=far -out client.csr && openssl ca -batch -config ca.cnf -notext -selfsign \
         -keyfile client.key -in client.csr -startdate 20200101000000Z -enddate $(date -u -d '{end}' +%Y%m%d%H%M%SZ) -out client.crt 2>&1"
    );
    shell(daemon, &script);
}

#[test]
fn tokens_that_are_over_or_made_up_let_nobody_in() {
    require!(root);
    let daemon = listening();
    let cli = daemon.cli();
    let good = token(&daemon, "good");
    cli.ok(["config", "set", "core.remote_token_expiry=1S"]);
    let late = token(&daemon, "late");
    let far = Far::new(&daemon, "far");
    std::thread::sleep(Duration::from_secs(2));
    let text = far.fails(&["remote", "add", "box", &late]);
    assert!(text.contains("one works once, and not for ever"), "{text}");
    assert!(
        !cli.ok(["config", "trust", "list-tokens", "-f", "csv"])
            .contains("late")
    );
    // The right form with another secret.
    let script =
        format!("echo {good} | base64 -d | sed -E 's/(\"secret\":\")./\\1x/' | base64 -w0");
    let forged = shell(&daemon, &script);
    assert_ne!(forged.trim(), good);
    let text = far.fails(&["remote", "add", "box", forged.trim()]);
    assert!(text.contains("one works once"), "{text}");
    let text = far.fails(&["remote", "add", "box", ADDRESS, "--token", "bm90aGluZw=="]);
    assert!(text.contains("the token is damaged"), "{text}");
    far.ok(&["remote", "add", "box", &good]);
}

#[test]
fn who_connects_and_says_nothing_keeps_nobody_out() {
    require!(root);
    let daemon = listening();
    let far = Far::new(&daemon, "far");
    far.ok(&["remote", "add", "box", &token(&daemon, "far")]);
    // Some never say a word, some begin the handshake and stop, some finish it and ask nothing.
    let silent = Running::shell(
        &daemon,
        "for i in $(seq 200); do exec {fd}<>/dev/tcp/127.0.0.1/8443; done; sleep 60",
    );
    let half = Running::shell(
        &daemon,
        "for i in $(seq 60); do exec {fd}<>/dev/tcp/127.0.0.1/8443; printf '\\x16\\x03\\x01\\x02' >&$fd; done; sleep 60",
    );
    let connections = || {
        let listed = daemon
            .world()
            .run(&["ss", "-Htn", "state", "established", "sport = :8443"]);
        listed.stdout.lines().count()
    };
    eventually("they are connected", Duration::from_secs(20), || {
        connections() >= 250
    });
    let begun = Instant::now();
    far.ok(&["list", "box:"]);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert_eq!(daemon.cli().ok(["list", "-f", "csv"]), "");
    // The rest of the handshake does not come: they are gone soon after.
    eventually("they are hung up on", Duration::from_secs(30), || {
        connections() < 10
    });
    drop((silent, half));
}

#[test]
fn strangers_that_shake_hands_and_wait_keep_no_other_stranger_out() {
    require!(root);
    require!(tool "openssl");
    let daemon = listening();
    let token = token(&daemon, "far");
    // More than there are places for.
    let crowd = Running::shell(
        &daemon,
        "for i in $(seq 140); do (sleep 60 | openssl s_client -quiet -connect 127.0.0.1:8443 >/dev/null 2>&1) & done; wait",
    );
    let connections = || {
        let listed = daemon
            .world()
            .run(&["ss", "-Htn", "state", "established", "sport = :8443"]);
        listed.stdout.lines().count()
    };
    eventually("they are connected", Duration::from_secs(60), || {
        connections() >= 120
    });
    Far::new(&daemon, "far").ok(&["remote", "add", "box", &token]);
    drop(crowd);
}

#[test]
fn a_renewed_certificate_is_shown_at_once_and_has_to_be_accepted() {
    require!(root);
    require!(tool "openssl");
    let mut daemon = listening();
    let far = Far::new(&daemon, "far");
    far.ok(&["remote", "add", "box", &token(&daemon, "far")]);
    let before = fingerprint(&daemon);
    let renewed = daemon.cli().ok(["-q", "admin", "certificate", "renew"]);
    assert_ne!(renewed, before);
    let text = far.fails(&["list", "box:"]);
    assert!(text.contains("another certificate"), "{text}");
    far.ok(&["remote", "remove", "box"]);
    far.ok(&["remote", "add", "box", ADDRESS, "--accept-certificate"]);
    far.ok(&["list", "box:"]);
    // One of the administrator's own, and a key that does not belong to it.
    let dir = daemon.dir().with_file_name("own");
    write_identity(&daemon, &dir, "-addext subjectAltName=DNS:localhost");
    let (certificate, key) = (dir.join("client.crt"), dir.join("client.key"));
    let wrong = daemon.dir().join("server.key");
    let renew = |key: &Path| {
        let line = ["-q", "admin", "certificate", "renew", "--certificate"].map(Into::into);
        let mut line: Vec<PathBuf> = line.to_vec();
        line.extend([certificate.clone(), "--key".into(), key.to_owned()]);
        daemon.cli().run(line)
    };
    assert!(renew(&wrong).stderr.contains("does not belong"));
    far.ok(&["list", "box:"]);
    let own = renew(&key);
    assert_eq!(own.code, 0, "{own}");
    assert_eq!(fingerprint(&daemon), own.stdout.trim());
    daemon.stop();
    daemon.start();
    assert_eq!(fingerprint(&daemon), own.stdout.trim());
}

#[test]
fn sessions_are_resumed_and_old_protocols_refused() {
    require!(root);
    require!(tool "openssl");
    let mut daemon = listening();
    let conf = daemon.dir().with_file_name("far");
    Far::new(&daemon, "far").ok(&["remote", "add", "box", &token(&daemon, "far")]);
    let connect = format!(
        "openssl s_client -connect {ADDRESS} -cert {0}/client.crt -key {0}/client.key",
        conf.display()
    );
    let request =
        "(printf 'GET /1.0 HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n'; sleep 1)";
    quick(
        &daemon,
        &format!("{request} | {connect} -ign_eof -sess_out /run/session 2>&1"),
    );
    let again = quick(
        &daemon,
        &format!("{request} | {connect} -ign_eof -sess_in /run/session 2>&1"),
    );
    assert!(again.contains("Reused, TLSv1.3"), "{again}");
    // The certificate of the session that was resumed is the one that counts.
    assert!(again.contains("\"auth\":\"trusted\""), "{again}");
    let old = run_shell(&daemon, &format!("{connect} -tls1_2 </dev/null 2>&1"));
    assert!(old.stdout.contains("alert protocol version"), "{old}");
    daemon.stop();
    daemon.set_env("RLXC_INSECURE_TLS", "1");
    daemon.start();
    let old = quick(
        &daemon,
        &format!("{request} | {connect} -ign_eof -tls1_2 2>&1"),
    );
    assert!(old.contains("\"auth\":\"trusted\""), "{old}");
}

#[test]
fn old_and_forged_certificates_are_refused_with_a_reason() {
    require!(root);
    require!(tool "openssl");
    let daemon = listening();
    let cli = daemon.cli();
    let far = Far::new(&daemon, "far");
    far.ok(&["remote", "add", "box", &token(&daemon, "far")]);
    let conf = daemon.dir().with_file_name("far");
    let add = |name: &str| {
        let file = conf.join("client.crt").display().to_string();
        cli.run(["config", "trust", "add-certificate", &file, "--name", name])
    };
    // The same subject, another key.
    let subject = shell(
        &daemon,
        &format!(
            "openssl x509 -in {}/client.crt -noout -subject -nameopt compat",
            conf.display()
        ),
    );
    let subject = subject.trim().trim_start_matches("subject=").to_owned();
    shell(
        &daemon,
        &format!(
            "cd {} && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -keyout client.key -out client.crt \
             -subj '{subject}' 2>&1",
            conf.display()
        ),
    );
    let text = far.fails(&["list", "box:"]);
    assert!(text.contains("not authorized"), "{text}");
    // One that will be over soon gets in, and then is over.
    write_identity_until(&daemon, &conf, "8 seconds");
    let added = add("short");
    assert_eq!(added.code, 0, "{added}");
    far.ok(&["list", "box:"]);
    std::thread::sleep(Duration::from_secs(9));
    let text = far.fails(&["list", "box:"]);
    assert!(text.contains("has expired"), "{text}");
    // And one that is over is not let in, by nobody.
    let other = Far::new(&daemon, "other");
    let there = daemon.dir().with_file_name("other");
    write_identity_until(&daemon, &there, "2021-01-01");
    let text = other.fails(&["remote", "add", "box", &token(&daemon, "other")]);
    assert!(text.contains("has expired"), "{text}");
    std::fs::copy(there.join("client.crt"), conf.join("client.crt")).unwrap();
    assert!(add("old").stderr.contains("has expired"));
}

/// An authority in a directory of its own, and what it signs.
struct Authority<'a> {
    daemon: &'a Daemon,
    dir: PathBuf,
}

impl<'a> Authority<'a> {
    fn new(daemon: &'a Daemon) -> Self {
        let dir = daemon.dir().with_file_name("authority");
        let script = format!(
            "mkdir -p {0} && cd {0} && touch index.txt && echo 1000 > serial && echo 1000 > crlnumber
             cat > ca.cnf <<'END'
[ca]
default_ca = x
[x]
database = index.txt
serial = serial
crlnumber = crlnumber
certificate = ca.crt
private_key = ca.key
new_certs_dir = .
default_md = sha256
default_days = 10
default_crl_days = 10
policy = any
copy_extensions = copy
[any]
commonName = supplied
END
             openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -keyout ca.key -out ca.crt -subj /CN=authority 2>&1",
            dir.display()
        );
        shell(daemon, &script);
        Self { daemon, dir }
    }

    /// `NAME.crt` and `NAME.key`, copied to where they are wanted.
    fn sign(&self, name: &str, certificate: &Path, key: &Path) {
        let script = format!(
            "cd {0} && openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -keyout {name}.key -out {name}.csr \
             -subj /CN={name} -addext subjectAltName=DNS:{name},IP:127.0.0.1 2>&1 \
             && openssl ca -batch -config ca.cnf -notext -in {name}.csr -out {name}.crt 2>&1 \
             && mkdir -p $(dirname {1}) && cp {name}.crt {1} && cp {name}.key {2}",
            self.dir.display(),
            certificate.display(),
            key.display()
        );
        shell(self.daemon, &script);
    }

    fn revoke(&self, name: &str) {
        let script = format!(
            "cd {0} && openssl ca -config ca.cnf -revoke {name}.crt 2>&1 && openssl ca -config ca.cnf -gencrl -out ca.crl 2>&1 \
             && cp ca.crl {1}/ca.crl",
            self.dir.display(),
            self.daemon.dir().display()
        );
        shell(self.daemon, &script);
    }
}

#[test]
fn an_authority_says_who_gets_in_and_who_no_longer() {
    require!(root);
    require!(tool "openssl");
    let daemon = listening();
    let cli = daemon.cli();
    let authority = Authority::new(&daemon);
    let before = Far::new(&daemon, "before");
    before.ok(&["remote", "add", "box", &token(&daemon, "before")]);
    std::fs::copy(authority.dir.join("ca.crt"), daemon.dir().join("server.ca")).unwrap();
    // Who was trusted and has no signature is out, and can't come in by a token.
    let text = before.fails(&["list", "box:"]);
    assert!(text.contains("authority does not vouch"), "{text}");
    let text = Far::new(&daemon, "unsigned").fails(&["remote", "add", "box", &token(&daemon, "u")]);
    assert!(text.contains("authority does not vouch"), "{text}");
    let signed = |name: &str| {
        let conf = daemon.dir().with_file_name(name);
        authority.sign(name, &conf.join("client.crt"), &conf.join("client.key"));
        Far::new(&daemon, name)
    };
    let one = signed("one");
    one.ok(&["remote", "add", "box", &token(&daemon, "one")]);
    one.ok(&["list", "box:"]);
    // A signature alone is not enough, unless it is said to be.
    let two = signed("two");
    let add = ["remote", "add", "box", ADDRESS, "--accept-certificate"];
    two.fails(&add);
    cli.ok(["config", "set", "core.trust_ca_certificates=true"]);
    two.ok(&add);
    two.ok(&["list", "box:"]);
    authority.revoke("two");
    let text = two.fails(&["list", "box:"]);
    assert!(text.contains("revoked"), "{text}");
    one.ok(&["list", "box:"]);
    authority.revoke("one");
    let text = one.fails(&["list", "box:"]);
    assert!(text.contains("revoked"), "{text}");
    // The other way round: a client that knows the authority needs to compare nothing.
    let own = daemon.dir().with_file_name("server");
    let (certificate, key) = (own.join("s.crt"), own.join("s.key"));
    authority.sign("server", &certificate, &key);
    let [certificate, key] = [certificate, key].map(|path| path.display().to_string());
    cli.ok([
        "admin",
        "certificate",
        "renew",
        "--certificate",
        &certificate,
        "--key",
        &key,
    ]);
    let three = signed("three");
    three.fails(&["remote", "add", "box", ADDRESS]);
    let conf = daemon.dir().with_file_name("three");
    std::fs::copy(authority.dir.join("ca.crt"), conf.join("client.ca")).unwrap();
    three.ok(&["remote", "add", "box", ADDRESS]);
    three.ok(&["list", "box:"]);
}

#[test]
fn a_service_manager_may_open_the_sockets() {
    require!(root);
    require!(tool "systemd-socket-activate");
    let mut daemon = Daemon::prepared(rlxc_tests::Uplink::Isolated);
    let socket = daemon.dir().join("unix.socket").display().to_string();
    daemon.start_under(&[
        "systemd-socket-activate",
        "--listen",
        &socket,
        "--listen",
        "127.0.0.1:9999",
        "--setenv",
        &format!("RLXC_DIR={}", daemon.dir().display()),
    ]);
    daemon.cli().ok(["admin", "init", "--auto"]);
    let far = Far::new(&daemon, "far");
    // The address is known without being configured.
    far.ok(&["remote", "add", "box", &token(&daemon, "far")]);
    assert!(far.ok(&["remote", "list"]).contains("127.0.0.1:9999"));
    // What is configured comes and goes beside it.
    daemon
        .cli()
        .ok(["config", "set", "core.https_address=127.0.0.1:8443"]);
    daemon.cli().ok(["config", "unset", "core.https_address"]);
    far.ok(&["list", "box:"]);
    daemon.stop();
    assert!(Path::new(&socket).exists(), "the socket is the manager's");
}

#[test]
fn metrics_have_a_socket_of_their_own() {
    require!(root);
    require!(tool "curl");
    let daemon = listening();
    daemon
        .cli()
        .ok(["config", "set", "core.metrics_address=127.0.0.1:9100"]);
    let get = |path: &str| {
        let url = format!("https://127.0.0.1:9100{path}");
        let line = ["curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", &url];
        daemon.world().run(&line).stdout
    };
    assert_eq!(get("/1.0/instances"), "404");
    assert_eq!(get("/1.0"), "404");
    assert_eq!(get("/1.0/metrics"), "403");
    let add = ["-q", "config", "trust", "add", "meter", "--type", "metrics"];
    let meter = Far::new(&daemon, "meter");
    meter.ok(&["remote", "add", "box", &daemon.cli().ok(add)]);
    let seen = meter.ok(&["query", "box:/1.0"]);
    assert!(seen.contains("untrusted"), "{seen}");
    meter.fails(&["list", "box:"]);
    let text = daemon
        .cli()
        .fails(["config", "set", "core.metrics_address=127.0.0.1:8443"]);
    assert!(text.contains("core.metrics_address"), "{text}");
    assert_eq!(get("/1.0"), "404");
}
