//! A world of its own for a daemon under test: pid, mount, network, uts and ipc namespaces and an empty `/run`.
//!
//! Its first process reads from a pipe that the test holds. However the test ends, that pipe closes, the first process
//! goes, and the kernel ends everything else in there. Nothing of a test can stay behind on the host but cgroups.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::process::{Output, Run, command};

/// Where the world's network leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uplink {
    /// A default route that ends nowhere.
    Isolated,
    /// Through the host, by NAT, to where the host can reach.
    Nat,
    /// No network namespace at all: the host's own. For work that only downloads.
    Shared,
}

/// The link of [`World::connect`] in either world.
const CABLE: &str = "cable0";

/// The namespaces, alive as long as this value.
#[derive(Debug)]
pub struct World {
    holder: Child,
    stdin: Option<ChildStdin>,
    init: u32,
    uplink: Uplink,
    nat: Option<Nat>,
}

impl World {
    /// Makes the namespaces and waits until they are furnished.
    pub fn new(uplink: Uplink) -> anyhow::Result<Self> {
        let mut unshare = command("unshare");
        unshare.args([
            "--fork",
            "--pid",
            "--mount-proc",
            "--mount",
            "--uts",
            "--ipc",
            "--kill-child",
        ]);
        let kind = match uplink {
            Uplink::Isolated => "isolated",
            Uplink::Nat => "nat",
            Uplink::Shared => "shared",
        };
        if uplink != Uplink::Shared {
            unshare.arg("--net");
        }
        let mut holder = unshare
            .args(["bash", "-c", include_str!("world.sh"), "world", kind])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("make namespaces by `unshare`")?;
        let stdin = holder.stdin.take();
        let mut line = String::new();
        if let Some(stdout) = holder.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        if line.trim() != "ready" {
            bail!("the world's first process did not get ready (its complaint is above)");
        }
        let init = only_child(holder.id())?;
        let nat = (uplink == Uplink::Nat)
            .then(|| Nat::new(init))
            .transpose()?;
        Ok(Self {
            holder,
            stdin,
            init,
            uplink,
            nat,
        })
    }

    /// The host's id of the world's first process.
    pub fn init_pid(&self) -> u32 {
        self.init
    }

    /// `argv` as a command that runs inside.
    pub fn enter<I: IntoIterator<Item = S>, S: Into<OsString>>(&self, argv: I) -> Run {
        let mut full: Vec<OsString> =
            vec!["nsenter".into(), "-t".into(), self.init.to_string().into()];
        full.extend(["-m", "-p", "-u", "-i"].map(OsString::from));
        if self.uplink != Uplink::Shared {
            full.push("-n".into());
        }
        full.push("--".into());
        full.extend(argv.into_iter().map(Into::into));
        Run::new(full)
    }

    /// Runs a command inside; panics if it does not succeed.
    #[track_caller]
    pub fn run(&self, argv: &[&str]) -> Output {
        match self.enter(argv.iter().copied()).ok() {
            Ok(output) => output,
            Err(error) => panic!("{error:?}"),
        }
    }

    /// Puts a cable between two worlds, which takes nothing of the host; the addresses of both ends.
    #[track_caller]
    pub fn connect(&self, other: &Self) -> [&'static str; 2] {
        let ends = [(self, "192.0.2.1"), (other, "192.0.2.2")];
        let [near, far] = ends.map(|(world, _)| world.init.to_string());
        let line = [
            "link", "add", CABLE, "netns", &near, "type", "veth", "peer", "name", CABLE, "netns",
            &far,
        ];
        if let Err(error) = ip(&line) {
            panic!("{error:?}");
        }
        for (world, address) in ends {
            let cidr = format!("{address}/24");
            world.run(&["ip", "address", "add", &cidr, "dev", CABLE]);
            world.run(&["ip", "link", "set", CABLE, "up"]);
        }
        ends.map(|(_, address)| address)
    }

    /// Hides a file behind an empty one: a missing tool, a host without subordinate ids. Only for this world.
    #[track_caller]
    pub fn blank(&self, path: &Path) {
        self.replace(path, "");
    }

    /// Lets a file of the host have another content in this world.
    #[track_caller]
    pub fn replace(&self, path: &Path, content: &str) {
        let script =
            "umask 022; f=/run/blank.$$; printf %s \"$2\" > $f; exec mount --bind $f \"$1\"";
        self.run(&["sh", "-c", script, "sh", &path.to_string_lossy(), content]);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.stdin.take());
        drop(self.nat.take());
        let _status = self.holder.wait().is_ok();
    }
}

/// The only child of a process that forked once.
pub fn only_child(pid: u32) -> anyhow::Result<u32> {
    let path = PathBuf::from(format!("/proc/{pid}/task/{pid}/children"));
    for _ in 0..500 {
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        if let Some(child) = text.split_whitespace().next() {
            return child.parse().context("a process id");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    bail!("process {pid} has no child")
}

/// A veth pair to the host and a masquerade there; both go with this value.
#[derive(Debug)]
struct Nat {
    table: String,
    _forwarding: Forwarding,
}

const FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

impl Nat {
    fn new(init: u32) -> anyhow::Result<Self> {
        let (link, table) = (format!("rt{init}"), format!("rlxc_test_{init}"));
        // One /30 of the range for benchmarks (RFC 2544) for each world, by its process id.
        let block = (init % 16384) * 4;
        let (high, low) = (block / 256, block % 256);
        let near = format!("198.18.{high}.{}/30", low + 1);
        let far = format!("198.18.{high}.{}/30", low + 2);
        let nat = Self {
            table,
            _forwarding: Forwarding::on()?,
        };
        let netns = init.to_string();
        ip(&[
            "link", "add", &link, "type", "veth", "peer", "name", "uplink0", "netns", &netns,
        ])?;
        ip(&["address", "add", &near, "dev", &link])?;
        ip(&["link", "set", &link, "up"])?;
        let gateway = near.trim_end_matches("/30").to_owned();
        for argv in [
            vec!["address", "add", &far, "dev", "uplink0"],
            vec!["link", "set", "uplink0", "up"],
            vec!["route", "add", "default", "via", &gateway],
        ] {
            let enter = ["nsenter", "-t", &netns, "-n", "ip"];
            Run::new(enter.into_iter().chain(argv)).ok()?;
        }
        let chain = "type nat hook postrouting priority 100";
        let rules = format!(
            "table ip {} {{\n chain post {{\n {chain}\n ip saddr {far} masquerade\n }}\n}}\n",
            nat.table
        );
        Run::new(["nft", "-f", "-"]).stdin(rules).ok()?;
        Ok(nat)
    }
}

impl Drop for Nat {
    fn drop(&mut self) {
        // The link dies with the world's network namespace.
        let _gone = Run::new(["nft", "delete", "table", "ip", &self.table])
            .ok()
            .is_ok();
    }
}

/// The host forwards packets as long as any test, in whatever process, has one of these: each shares the lock on a file, which keeps
/// what was set before the first. The last puts that back.
#[derive(Debug)]
struct Forwarding {
    before: File,
}

impl Forwarding {
    fn on() -> anyhow::Result<Self> {
        let directory = crate::cache_dir();
        std::fs::create_dir_all(&directory)?;
        let path = directory.join("ip_forward");
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let mut before = options.open(path)?;
        before.lock()?;
        if before.metadata()?.len() == 0 {
            before.write_all(std::fs::read_to_string(FORWARD)?.as_bytes())?;
        }
        std::fs::write(FORWARD, "1")?;
        before.lock_shared()?;
        Ok(Self { before })
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        if self.before.try_lock().is_err() {
            return;
        }
        let mut value = String::new();
        let read = self
            .before
            .rewind()
            .and_then(|()| self.before.read_to_string(&mut value));
        if read.is_ok_and(|length| length > 0) {
            let _restored = std::fs::write(FORWARD, value).is_ok();
            let _emptied = self.before.set_len(0).is_ok();
        }
    }
}

fn ip(args: &[&str]) -> anyhow::Result<Output> {
    Run::new(std::iter::once(&"ip").chain(args).copied()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_sees_its_own_links_and_processes_only() {
        crate::require!(root);
        let world = World::new(Uplink::Isolated).unwrap();
        let links = world.run(&["ls", "/sys/class/net"]).stdout;
        assert_eq!(
            links.split_whitespace().collect::<Vec<_>>(),
            ["lo", "uplink0", "uplink1"]
        );
        let processes = world
            .run(&["sh", "-c", "ls /proc | grep -c '^[0-9]'"])
            .stdout;
        assert!(processes.trim().parse::<u32>().unwrap() < 10, "{processes}");
        assert!(world.run(&["ls", "/sys/fs/cgroup"]).stdout.len() > 10);
        world.replace(Path::new("/etc/subuid"), "root:1:2\n");
        assert_eq!(world.run(&["cat", "/etc/subuid"]).stdout, "root:1:2\n");
    }

    #[test]
    fn a_world_ends_with_its_value_and_takes_its_processes_along() {
        crate::require!(root);
        let world = World::new(Uplink::Isolated).unwrap();
        world.run(&["sh", "-c", "setsid sleep 987654 >/dev/null 2>&1 &"]);
        let init = world.init_pid();
        drop(world);
        assert!(!Path::new(&format!("/proc/{init}")).exists());
        let left = Run::new(["pgrep", "-f", "sleep 98765[4]"])
            .output()
            .unwrap();
        assert_eq!(left.stdout, "");
    }

    #[test]
    fn a_way_out_by_nat_leads_through_the_host() {
        crate::require!(root);
        let world = World::new(Uplink::Nat).unwrap();
        let table = format!("rlxc_test_{}", world.init_pid());
        let gateway = world.run(&["ip", "route", "show", "default"]).stdout;
        let gateway = gateway.split_whitespace().nth(2).unwrap();
        world.run(&["ping", "-c", "1", "-W", "2", gateway]);
        let tables = || Run::new(["nft", "list", "tables"]).ok().unwrap().stdout;
        assert!(tables().contains(&table));
        drop(world);
        assert!(!tables().contains(&table));
    }
}
