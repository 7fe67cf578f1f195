//! The real `rlxc` against one daemon.

use std::ffi::OsString;
use std::time::Duration;

use crate::daemon::Daemon;
use crate::process::{Output, Run};

/// Runs `rlxc` in the daemon's world.
#[derive(Debug, Clone, Copy)]
pub struct Cli<'a> {
    daemon: &'a Daemon,
}

impl<'a> Cli<'a> {
    pub(crate) fn new(daemon: &'a Daemon) -> Self {
        Self { daemon }
    }

    /// The command line, for a caller that feeds it or watches it.
    pub fn command<I: IntoIterator<Item = S>, S: Into<OsString>>(self, args: I) -> Run {
        let dir = self.daemon.dir();
        let mut line: Vec<OsString> = vec!["env".into()];
        line.push(format!("RLXC_DIR={}", dir.display()).into());
        line.push(format!("RLXC_CONF={}", dir.with_file_name("conf").display()).into());
        line.push("TERM=xterm".into());
        line.push(crate::binaries().join("rlxc").into());
        line.extend(args.into_iter().map(Into::into));
        self.daemon.world().enter(line)
    }

    /// Runs it, whatever comes out.
    #[track_caller]
    pub fn run<I: IntoIterator<Item = S>, S: Into<OsString>>(self, args: I) -> Output {
        self.finish(&self.command(args))
    }

    /// Runs it with something on stdin, whatever comes out.
    #[track_caller]
    pub fn feed<I: IntoIterator<Item = S>, S: Into<OsString>>(
        &self,
        stdin: &[u8],
        args: I,
    ) -> Output {
        self.finish(&self.command(args).stdin(stdin))
    }

    /// Runs it; it must succeed. Its stdout without the last newline.
    #[track_caller]
    pub fn ok<I: IntoIterator<Item = S>, S: Into<OsString>>(self, args: I) -> String {
        let output = self.run(args);
        assert!(output.code == 0, "{output}");
        output.stdout.trim_end().to_owned()
    }

    /// Runs it; it must fail in a way that a user can read. Its stderr.
    #[track_caller]
    pub fn fails<I: IntoIterator<Item = S>, S: Into<OsString>>(self, args: I) -> String {
        complaint(&self.run(args))
    }

    /// Runs a command in an instance; it must succeed. Its stdout without the last newline.
    #[track_caller]
    pub fn exec(self, instance: &str, argv: &[&str]) -> String {
        self.ok(["exec", instance, "--"].iter().chain(argv).copied())
    }

    /// Runs a command that may take long.
    #[track_caller]
    pub fn ok_within(self, deadline: Duration, args: &[&str]) -> String {
        let output = self.finish(&self.command(args.iter().copied()).deadline(deadline));
        assert!(output.code == 0, "{output}");
        output.stdout.trim_end().to_owned()
    }

    /// The instance as the API shows it, by `rlxc list --format json`.
    #[track_caller]
    pub fn instance(self, name: &str) -> Option<serde_json::Value> {
        let text = self.ok(["list", "--format", "json"]);
        let list: Vec<serde_json::Value> = match serde_json::from_str(&text) {
            Ok(list) => list,
            Err(error) => panic!("`rlxc list --format json` is not a JSON list: {error}\n{text}"),
        };
        list.into_iter().find(|instance| instance["name"] == name)
    }

    /// `Running`, `Stopped` …, or `None` when there is no such instance.
    #[track_caller]
    pub fn status(self, name: &str) -> Option<String> {
        self.instance(name)?["status"].as_str().map(str::to_owned)
    }

    /// Waits until the instance is in that state.
    #[track_caller]
    pub fn wait_status(self, name: &str, status: &str) {
        let what = format!("`{name}` becomes {status}");
        crate::process::eventually(&what, Duration::from_secs(30), || {
            self.status(name).as_deref() == Some(status)
        });
    }

    /// Waits for the first global IPv4 address of the instance's `eth0`.
    #[track_caller]
    pub fn wait_ipv4(self, name: &str) -> String {
        let mut found = None;
        crate::process::eventually(
            &format!("`{name}` gets an IPv4 address"),
            Duration::from_secs(60),
            || {
                found = self.instance(name).as_ref().and_then(ipv4);
                found.is_some()
            },
        );
        found.unwrap_or_default()
    }

    #[track_caller]
    fn finish(self, run: &Run) -> Output {
        match run.output() {
            Ok(output) => output,
            Err(error) => panic!(
                "{error:?}\n--- the daemon's log\n{}",
                self.daemon.log_tail()
            ),
        }
    }
}

fn ipv4(instance: &serde_json::Value) -> Option<String> {
    let addresses = instance
        .pointer("/state/network/eth0/addresses")?
        .as_array()?;
    let global = addresses
        .iter()
        .find(|a| a["family"] == "inet" && a["scope"] == "global")?;
    global["address"].as_str().map(str::to_owned)
}

/// The stderr of a command that must have failed in a way that a user can read.
#[track_caller]
pub fn complaint(output: &Output) -> String {
    assert!(
        output.code == 1 || output.code == 2,
        "should fail with 1 or 2: {output}"
    );
    let text = &output.stderr;
    assert!(
        text.to_lowercase().contains("error:"),
        "says what is wrong: {output}"
    );
    assert!(
        !text.contains("panicked at") && !text.contains("RUST_BACKTRACE"),
        "no stack trace: {output}"
    );
    output.stderr.clone()
}
