//! Runs programs with a deadline and keeps all they say; the one place of the harness that spawns.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Seek as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long a program may take unless told otherwise.
pub const DEADLINE: Duration = Duration::from_secs(90);

/// A deadline as the machine at hand needs it: `RLXC_TEST_PATIENCE=8` where all is eight times slower, as in an emulated one.
pub fn patient(deadline: Duration) -> Duration {
    let factor = std::env::var("RLXC_TEST_PATIENCE").ok();
    deadline * factor.and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// A command line about to be run.
#[derive(Debug, Clone)]
pub struct Run {
    argv: Vec<OsString>,
    envs: Vec<(OsString, OsString)>,
    stdin: Vec<u8>,
    deadline: Duration,
}

/// How a program ended and what it wrote.
#[derive(Debug, Clone)]
pub struct Output {
    /// The command line, for messages.
    pub argv: String,
    /// The exit code, or 128 + the signal, as a shell tells it.
    pub code: i32,
    /// What it wrote to stdout, byte for byte.
    pub bytes: Vec<u8>,
    /// The same as text.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
    /// From spawn to the end.
    pub elapsed: Duration,
}

/// A bare command; everything that the harness starts goes through here.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    #[expect(
        clippy::disallowed_methods,
        reason = "the harness drives the product from outside and must not link rlxc-sys"
    )]
    Command::new(program)
}

impl Run {
    /// `argv[0]` is looked up in `PATH`.
    pub fn new<I: IntoIterator<Item = S>, S: Into<OsString>>(argv: I) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            envs: Vec::new(),
            stdin: Vec::new(),
            deadline: DEADLINE,
        }
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.envs.push((key.into(), value.into()));
        self
    }

    /// What it reads; stdin is closed after that.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// How long it may take before it is killed and the run is an error.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The command with its pipes, not yet started.
    pub fn command(&self) -> Command {
        let mut command = command(
            self.argv
                .first()
                .map_or(OsStr::new(""), OsString::as_os_str),
        );
        command
            .args(self.argv.iter().skip(1))
            .envs(self.envs.iter().map(|(k, v)| (k, v)));
        command
    }

    /// Runs it to its end.
    pub fn output(&self) -> anyhow::Result<Output> {
        let argv = self
            .argv
            .iter()
            .map(|arg| arg.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ");
        let started = Instant::now();
        let mut child = self
            .command()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("start `{argv}`"))?;
        feed(&mut child, self.stdin.clone());
        let bytes = collect(child.stdout.take());
        let errors = collect(child.stderr.take());
        let status = wait(child, patient(self.deadline)).with_context(|| format!("`{argv}`"))?;
        let elapsed = started.elapsed();
        // A background process may hold the pipes; what it writes later is not ours.
        let bytes = bytes
            .recv_timeout(Duration::from_secs(5))
            .unwrap_or_default();
        let errors = errors
            .recv_timeout(Duration::from_secs(5))
            .unwrap_or_default();
        Ok(Output {
            argv,
            code: exit_code(status),
            stdout: String::from_utf8_lossy(&bytes).into_owned(),
            bytes,
            stderr: String::from_utf8_lossy(&errors).into_owned(),
            elapsed,
        })
    }

    /// How long it takes from spawn to the end, if it succeeds. What it writes goes into files: nothing here wakes up while it runs.
    pub fn timed(&self) -> anyhow::Result<Duration> {
        let (said, mut errors) = (tempfile::tempfile()?, tempfile::tempfile()?);
        let mut command = self.command();
        command
            .stdin(Stdio::null())
            .stdout(said)
            .stderr(errors.try_clone()?);
        let started = Instant::now();
        let status = command.spawn().and_then(|mut child| child.wait())?;
        let elapsed = started.elapsed();
        if !status.success() {
            let mut text = String::new();
            errors.rewind()?;
            errors.read_to_string(&mut text)?;
            bail!("{:?} failed: {text}", self.argv);
        }
        Ok(elapsed)
    }

    /// Runs it to its end; anything but success is an error that shows all it said.
    pub fn ok(&self) -> anyhow::Result<Output> {
        let output = self.output()?;
        if output.code != 0 {
            bail!("{output}");
        }
        Ok(output)
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "`{}` ended with {} after {} ms\n--- stdout\n{}\n--- stderr\n{}",
            self.argv,
            self.code,
            self.elapsed.as_millis(),
            self.stdout.trim_end(),
            self.stderr.trim_end()
        )
    }
}

/// The code that a shell would show.
pub fn exit_code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

/// Sends a signal to a process that we started.
pub fn signal(pid: u32, signal: Signal) -> anyhow::Result<()> {
    let pid = i32::try_from(pid).context("a process id")?;
    kill(Pid::from_raw(pid), signal).with_context(|| format!("send {signal} to process {pid}"))
}

/// Asks again and again until the answer is yes; panics with `what` when the deadline passes.
#[track_caller]
pub fn eventually(what: &str, deadline: Duration, mut condition: impl FnMut() -> bool) {
    let deadline = patient(deadline);
    let end = Instant::now() + deadline;
    while !condition() {
        assert!(
            Instant::now() < end,
            "{what}: not within {} s",
            deadline.as_secs()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn feed(child: &mut Child, bytes: Vec<u8>) {
    if let Some(mut stdin) = child.stdin.take() {
        // The program may close its end early: what it doesn't read is its own business.
        std::thread::spawn(move || stdin.write_all(&bytes).is_ok());
    }
}

fn collect(stream: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            let _partial = stream.read_to_end(&mut bytes).is_err();
        }
        send.send(bytes).is_ok()
    });
    receive
}

fn wait(mut child: Child, deadline: Duration) -> anyhow::Result<std::process::ExitStatus> {
    let pid = child.id();
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || send.send(child.wait()).is_ok());
    if let Ok(status) = receive.recv_timeout(deadline) {
        Ok(status?)
    } else {
        signal(pid, Signal::SIGKILL)?;
        bail!("took longer than {} s and was killed", deadline.as_secs())
    }
}
