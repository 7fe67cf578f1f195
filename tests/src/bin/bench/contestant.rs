//! Daemons that speak the same verbs: ours, LXD, Incus. Each is started for real, on an empty directory.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use nix::sys::signal::Signal;
use rlxc_tests::process::{Output, Run, signal};
use rlxc_tests::world::only_child;
use rlxc_tests::{Uplink, World};
use tempfile::TempDir;

/// A daemon under measurement.
#[derive(Debug)]
pub(crate) struct Contestant {
    /// What the table calls it.
    pub(crate) name: String,
    client: String,
    /// What makes a token for a client, printed as the last line.
    pub(crate) trust: &'static [&'static str],
    envs: Vec<(String, String)>,
    daemon: Child,
    pid: u32,
    world: World,
    // Dropped last.
    dir: TempDir,
}

/// What differs between the three.
struct Brand<'a> {
    name: &'a str,
    client: String,
    daemon: Vec<String>,
    dir_variable: &'a str,
    conf_variable: &'a str,
    init: &'a [&'a str],
    trust: &'static [&'static str],
}

pub(crate) fn rlxc() -> anyhow::Result<Contestant> {
    let bin = rlxc_tests::binaries();
    let program = |name: &str| bin.join(name).display().to_string();
    start(&Brand {
        name: "rlxc",
        client: program("rlxc"),
        daemon: vec![program("rlxcd")],
        dir_variable: "RLXC_DIR",
        conf_variable: "RLXC_CONF",
        init: &["admin", "init", "--auto"],
        trust: &["config", "trust", "add", "bench"],
    })
}

pub(crate) fn lxd() -> anyhow::Result<Contestant> {
    start(&Brand {
        name: "LXD",
        client: installed("lxc")?,
        daemon: vec![installed("lxd")?, "--group".into(), "root".into()],
        dir_variable: "LXD_DIR",
        conf_variable: "LXD_CONF",
        init: &["lxd", "init", "--auto"],
        trust: &["config", "trust", "add", "--name", "bench"],
    })
}

pub(crate) fn incus() -> anyhow::Result<Contestant> {
    start(&Brand {
        name: "Incus",
        client: installed("incus")?,
        daemon: vec![installed("incusd")?, "--group".into(), "root".into()],
        dir_variable: "INCUS_DIR",
        conf_variable: "INCUS_CONF",
        init: &["admin", "init", "--auto"],
        trust: &["config", "trust", "add", "bench"],
    })
}

/// The full path of a program, or an error that says it is not here.
pub(crate) fn installed(name: &str) -> anyhow::Result<String> {
    [
        "/usr/sbin",
        "/usr/bin",
        "/usr/local/bin",
        "/usr/libexec/incus",
        "/usr/lib/lxd",
        "/usr/lib/incus",
    ]
    .iter()
    .map(|dir| Path::new(dir).join(name))
    .find(|path| path.is_file())
    .map(|path| path.display().to_string())
    .with_context(|| format!("`{name}` is not installed"))
}

fn start(brand: &Brand<'_>) -> anyhow::Result<Contestant> {
    crate::say(&format!("starting {}", brand.name));
    let keep = tempfile::Builder::new()
        .prefix("rlxc-bench.")
        .tempdir_in("/var/tmp")?;
    std::fs::set_permissions(
        keep.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )?;
    let dir = keep.path().join("d");
    std::fs::create_dir(&dir)?;
    let envs = vec![
        (brand.dir_variable.to_owned(), dir.display().to_string()),
        (
            brand.conf_variable.to_owned(),
            keep.path().join("conf").display().to_string(),
        ),
    ];
    let world = World::new(Uplink::Isolated)?;
    without_the_hooks_sleep(&world);
    let line = envs.iter().map(|(key, value)| format!("{key}={value}"));
    let line = std::iter::once("env".to_owned())
        .chain(line)
        .chain(brand.daemon.iter().cloned());
    let log = std::fs::File::create(keep.path().join("log"))?;
    let daemon = world
        .enter(line)
        .command()
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    let pid = only_child(daemon.id())?;
    let made = Contestant {
        name: brand.name.to_owned(),
        client: brand.client.clone(),
        trust: brand.trust,
        envs,
        daemon,
        pid,
        world,
        dir: keep,
    };
    await_answer(&made).with_context(|| format!("start {}", brand.name))?;
    made.initialize(brand.init)?;
    Ok(made)
}

fn await_answer(contestant: &Contestant) -> anyhow::Result<()> {
    let end = Instant::now() + Duration::from_secs(60);
    while contestant
        .command(&["list"])
        .output()
        .is_ok_and(|output| output.code != 0)
    {
        if Instant::now() > end {
            bail!(
                "it does not answer: {}",
                contestant.command(&["list"]).output()?
            );
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// The distribution's lxcfs sleeps half a second in a hook when a container stops: that is not LXD's doing.
fn without_the_hooks_sleep(world: &World) {
    for dir in ["/usr/share/lxcfs", "/usr/share/lxc/hooks"] {
        let Ok(entries) = std::fs::read_dir(dir) else {
            continue;
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            let Ok(text) = std::fs::read_to_string(&path) else {
                continue;
            };
            if text
                .lines()
                .any(|line| line.trim_start().starts_with("sleep"))
            {
                let awake: Vec<_> = text
                    .lines()
                    .filter(|line| !line.trim_start().starts_with("sleep"))
                    .collect();
                world.replace(&path, &(awake.join("\n") + "\n"));
                let path = path.display().to_string();
                world.run(&["chmod", "755", &path]);
            }
        }
    }
}

impl Contestant {
    /// A whole command of its client, run outside the world: nothing but the socket is needed.
    pub(crate) fn command(&self, args: &[&str]) -> Run {
        let line = std::iter::once(self.client.as_str()).chain(args.iter().copied());
        self.with_its_directory(Run::new(line))
    }

    /// The same, with a shell's redirections.
    pub(crate) fn redirected(&self, args: &[&str], redirections: &str) -> Run {
        let script = format!("exec \"$0\" \"$@\" {redirections}");
        let shell = ["sh", "-c", &script, &self.client];
        self.with_its_directory(Run::new(shell.into_iter().chain(args.iter().copied())))
    }

    fn with_its_directory(&self, run: Run) -> Run {
        self.envs
            .iter()
            .fold(run, |run, (key, value)| run.env(key, value))
    }

    /// The same in the world's network, where its addresses are.
    pub(crate) fn inside(&self, args: &[&str]) -> Run {
        self.in_its_network([self.client.as_str()].iter().chain(args).copied())
    }

    /// How long a command takes in the world's network, `runs` times. Timed from within: to get there takes as long as half of it.
    pub(crate) fn timed_inside(&self, runs: usize, args: &[&str]) -> anyhow::Result<Vec<Duration>> {
        let bench = std::env::current_exe()?.display().to_string();
        let runs = runs.to_string();
        let line = [bench.as_str(), crate::TIMED, &runs, &self.client];
        let printed = self
            .in_its_network(line.into_iter().chain(args.iter().copied()))
            .ok()?
            .stdout;
        let micros = printed.lines().map(|line| line.parse().context("a time"));
        micros.map(|took| took.map(Duration::from_micros)).collect()
    }

    /// How long a whole command of its client takes; it must succeed.
    pub(crate) fn timed(&self, args: &[&str]) -> anyhow::Result<Duration> {
        self.command(args).timed()
    }

    fn in_its_network<'a>(&self, line: impl IntoIterator<Item = &'a str>) -> Run {
        let pid = self.world_pid().to_string();
        let enter = ["nsenter", "-n", "-t", &pid].map(str::to_owned);
        let line = enter.into_iter().chain(line.into_iter().map(str::to_owned));
        self.with_its_directory(Run::new(line))
    }

    /// Runs it; it must succeed.
    pub(crate) fn ok(&self, args: &[&str]) -> anyhow::Result<Output> {
        self.command(args).deadline(Duration::from_secs(300)).ok()
    }

    /// The state of an instance, as the API has it.
    pub(crate) fn state(&self, name: &str) -> anyhow::Result<serde_json::Value> {
        let output = self.ok(&["query", &format!("/1.0/instances/{name}/state")])?;
        Ok(serde_json::from_str(&output.stdout)?)
    }

    /// A command of its host.
    pub(crate) fn enter<'a>(&self, argv: impl IntoIterator<Item = &'a str>) -> Run {
        self.world.enter(argv)
    }

    /// The daemon's process id, as the host sees it.
    pub(crate) fn daemon_pid(&self) -> u32 {
        self.pid
    }

    /// The first process of its world.
    pub(crate) fn world_pid(&self) -> u32 {
        self.world.init_pid()
    }

    fn initialize(&self, init: &[&str]) -> anyhow::Result<()> {
        if init.first() == Some(&"lxd") {
            // LXD's `init` is a verb of the daemon's binary and looks at the daemon's network.
            let line = self
                .envs
                .iter()
                .map(|(key, value)| format!("{key}={value}"));
            let line = std::iter::once("env".to_owned()).chain(line);
            self.world
                .enter(line.chain(init.iter().map(|word| (*word).to_owned())))
                .ok()?;
        } else {
            self.ok(init)?;
        }
        Ok(())
    }

    /// Imports the files of an image under an alias.
    pub(crate) fn import(&self, files: &[PathBuf], alias: &str) -> anyhow::Result<()> {
        let files: Vec<String> = files
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        let mut args = vec!["image", "import"];
        args.extend(files.iter().map(String::as_str));
        args.extend(["--alias", alias]);
        self.ok(&args)?;
        Ok(())
    }

    /// Where files for it may be put.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.dir.path().to_owned()
    }
}

impl Drop for Contestant {
    fn drop(&mut self) {
        let _ended = signal(self.pid, Signal::SIGKILL).is_ok();
        let _reaped = self.daemon.wait().is_ok();
    }
}
