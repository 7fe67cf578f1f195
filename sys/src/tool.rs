//! Runs the few programs that rlxc needs from the host: argv, a clean environment, a deadline, and the end of
//! stderr in the error. The only place that may spawn one-shot processes.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::interrupt;
use crate::sandbox::Sandbox;

/// Where tools are looked for; the daemon's own `PATH` is not trusted.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const STDERR_TAIL: usize = 4096;
/// How long a tool may go on after somebody broke its work off.
const STEP: Duration = Duration::from_millis(200);

/// What went wrong with a tool.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The program is not installed.
    #[error("program `{program}` is not installed on this host")]
    Missing {
        /// Its name.
        program: String,
    },
    /// It could not be started, fed or read.
    #[error("run `{argv}`")]
    Io {
        /// The command line.
        argv: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It ended with something else than success.
    #[error("`{argv}` ended with {status}: {stderr}")]
    Failed {
        /// The command line.
        argv: String,
        /// As the kernel told it.
        status: std::process::ExitStatus,
        /// The end of what it wrote to stderr.
        stderr: String,
    },
    /// It took too long and was killed.
    #[error("`{argv}` took longer than {} s and was ended", limit.as_secs())]
    Timeout {
        /// The command line.
        argv: String,
        /// The deadline.
        limit: Duration,
    },
}

/// Finds a program in the usual directories.
pub fn find(program: &str) -> Option<PathBuf> {
    SEARCH_PATH
        .split(':')
        .map(|dir| Path::new(dir).join(program))
        .find(|path| path.is_file())
}

/// A command about to be run.
#[derive(Debug)]
pub struct Tool {
    program: String,
    args: Vec<OsString>,
    envs: Vec<(OsString, OsString)>,
    input: Option<Vec<u8>>,
    limit: Duration,
    sandbox: Option<Sandbox>,
}

impl Tool {
    /// `program` is a bare name, looked up in the usual directories.
    pub fn new(program: &str) -> Self {
        Self {
            program: program.to_owned(),
            args: Vec::new(),
            envs: Vec::new(),
            input: None,
            limit: Duration::from_secs(60),
            sandbox: None,
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item = S>, S: Into<OsString>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable; nothing but `PATH` and `LC_ALL` is there otherwise.
    #[must_use]
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.envs.push((key.into(), value.into()));
        self
    }

    /// What it reads from stdin.
    #[must_use]
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self
    }

    /// How long it may take; 60 s unless set.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Which files it may use, where the kernel can hold it to that; for tools that read what others have made.
    #[must_use]
    pub fn confined(mut self, sandbox: Sandbox) -> Self {
        self.sandbox = Some(sandbox);
        self
    }

    /// The command with its environment, for a caller that drives the process itself (a long-lived daemon, a stream).
    pub fn command(&self) -> Result<Command, ToolError> {
        let path = find(&self.program).ok_or_else(|| ToolError::Missing {
            program: self.program.clone(),
        })?;
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the place that the ban points to"
        )]
        let mut command = Command::new(path);
        command
            .args(&self.args)
            .env_clear()
            .env("PATH", SEARCH_PATH)
            .env("LC_ALL", "C.UTF-8")
            .current_dir("/");
        command.envs(self.envs.iter().map(|(key, value)| (key, value)));
        Ok(command)
    }

    /// Runs it to its end and returns its stdout.
    pub fn run(self) -> Result<Vec<u8>, ToolError> {
        let mut child = self.spawn()?;
        let feeder = self.feed(&mut child);
        let out = drain(child.stdout.take());
        let err = drain(child.stderr.take());
        let status = self.wait(&mut child)?;
        let stdout = out.join().unwrap_or_default();
        let stderr = err.join().unwrap_or_default();
        drop(feeder);
        if status.success() {
            return Ok(stdout);
        }
        Err(ToolError::Failed {
            argv: self.argv(),
            status,
            stderr: tail(&stderr),
        })
    }

    fn spawn(&self) -> Result<Child, ToolError> {
        let mut command = self.command()?;
        let stdin = if self.input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        };
        command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let Some(sandbox) = &self.sandbox else {
            return command.spawn().map_err(|source| self.io(source));
        };
        // A thread that is confined stays so: this one has nothing else to do.
        let spawned = std::thread::scope(|scope| {
            let thread = scope.spawn(|| sandbox.enter().and_then(|_is_held| command.spawn()));
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        spawned.map_err(|source| self.io(source))
    }

    fn feed(&self, child: &mut Child) -> Option<std::thread::JoinHandle<()>> {
        let (input, mut stdin) = (self.input.clone()?, child.stdin.take()?);
        // A tool that ends before it read all says so by its status; the broken pipe adds nothing.
        Some(std::thread::spawn(move || drop(stdin.write_all(&input))))
    }

    fn wait(&self, child: &mut Child) -> Result<std::process::ExitStatus, ToolError> {
        let pidfd = rustix::process::pidfd_open(
            rustix::process::Pid::from_child(child),
            rustix::process::PidfdFlags::empty(),
        )
        .map_err(|errno| self.io(errno.into()))?;
        let deadline = Instant::now() + self.limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let is_last = left <= STEP || !interrupt::is_possible();
            let left = if is_last { left } else { STEP };
            let timeout = rustix::event::Timespec {
                tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            let mut fds = [rustix::event::PollFd::new(
                &pidfd,
                rustix::event::PollFlags::IN,
            )];
            match rustix::event::poll(&mut fds, Some(&timeout)) {
                Ok(0) if !is_last && interrupt::check().is_ok() => {}
                Ok(0) => {
                    child
                        .kill()
                        .and_then(|()| child.wait())
                        .map_err(|source| self.io(source))?;
                    interrupt::check().map_err(|source| self.io(source))?;
                    return Err(ToolError::Timeout {
                        argv: self.argv(),
                        limit: self.limit,
                    });
                }
                Ok(_) => return child.wait().map_err(|source| self.io(source)),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(self.io(errno.into())),
            }
        }
    }

    fn io(&self, source: std::io::Error) -> ToolError {
        ToolError::Io {
            argv: self.argv(),
            source,
        }
    }

    fn argv(&self) -> String {
        let args = self
            .args
            .iter()
            .map(|arg| arg.to_string_lossy().into_owned());
        std::iter::once(self.program.clone())
            .chain(args)
            .collect::<Vec<_>>()
            .join(" ")
    }
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before an error is still the best we can show.
            drop(pipe.read_to_end(&mut bytes));
        }
        bytes
    })
}

fn tail(stderr: &[u8]) -> String {
    let from = stderr.len().saturating_sub(STDERR_TAIL);
    String::from_utf8_lossy(&stderr[from..]).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_stdout() {
        assert_eq!(Tool::new("cat").input("hello").run().unwrap(), b"hello");
    }

    #[test]
    fn tells_status_and_stderr() {
        let error = Tool::new("sh")
            .args(["-c", "echo bad >&2; exit 3"])
            .run()
            .unwrap_err();
        assert!(
            matches!(&error, ToolError::Failed { stderr, .. } if stderr == "bad"),
            "{error}"
        );
    }

    #[test]
    fn names_a_missing_program() {
        let error = Tool::new("no-such-program").run().unwrap_err();
        assert_eq!(
            error.to_string(),
            "program `no-such-program` is not installed on this host"
        );
    }

    #[test]
    fn ends_what_takes_too_long() {
        let error = Tool::new("sleep")
            .args(["60"])
            .timeout(Duration::from_millis(50))
            .run()
            .unwrap_err();
        assert!(matches!(error, ToolError::Timeout { .. }));
    }
}
