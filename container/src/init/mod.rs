//! Process 1 of a container, from its clone to the exec of the distribution's init. The whole boot, on one screen:
//!
//! ```text
//! wait for supplies ─ the daemon has plugged the network, the monitor has made the mounts
//!   ▸ identity        root of the user namespace, a session, the host name
//!   ▸ cgroup          a cgroup namespace whose root is the container's group
//!   ▸ root            its own /proc /sys /dev /run, mounts and devices, then pivot_root
//!   ▸ console         a terminal in its own devpts; the master goes to the monitor
//!   ▸ kernel          sysctls and interfaces
//!   ▸ confinement     limits, capabilities, seccomp
//!   ▸ exec
//! ```
//! All that fails is told to the monitor with the name of its phase; success is told by silence: the socket closes on
//! exec. Nothing here runs for long and nothing is undone: the process ends, and its namespaces with it.

mod console;
pub(crate) mod place;
mod root;

use std::convert::Infallible;
use std::ffi::CString;
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rlxc_sys::mount::{self, Depth};
use rlxc_sys::{link, namespace, process};
use serde::{Deserialize, Serialize};

use crate::cgroup::Cgroup;
use crate::confine::{Confinement, InPhase};
use crate::protocol::{self, Failure};
use crate::spec::ContainerSpec;

/// What the monitor sends, with descriptors: the root and `/dev` first, then one for each placement. Several packets if many.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Supplies {
    /// Where the mounts go.
    pub(crate) placements: Vec<Placement>,
    /// Whether a view comes after the root and `/dev`.
    #[serde(default)]
    pub(crate) view: bool,
    /// Whether that was all.
    pub(crate) last: bool,
}

/// Where a mount goes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Placement {
    /// In the container.
    pub(crate) target: PathBuf,
    /// Whether it is a file.
    pub(crate) file: bool,
    /// Its number on the shelf, see [`crate::monitor`]; no descriptor comes with it then.
    #[serde(default)]
    pub(crate) shelf: Option<usize>,
}

/// Where the shelf of read-only mounts is, until the host's root is left.
pub(crate) const SHELF: &str = "/dev";

/// What init sends.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FromInit {
    /// With the master of the console. The next is exec.
    Ready,
    /// With a listener to the calls that its filter hands over.
    Listening,
    /// It ends.
    Failed(Failure),
}

const DEFAULT_INIT: [&str; 4] = ["/sbin/init", "/usr/sbin/init", "/etc/init", "/bin/init"];
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The first code of the new process.
pub(crate) fn run(
    socket: &OwnedFd,
    spec: &ContainerSpec,
    cgroup: &Cgroup,
    confinement: &Confinement,
) -> Infallible {
    let Err(failure) = boot(socket.as_fd(), spec, cgroup, confinement);
    // If the monitor doesn't hear it, it is gone, and this process ends all the same.
    drop(protocol::send(
        socket.as_fd(),
        &FromInit::Failed(failure),
        &[],
    ));
    process::exit_now(1)
}

fn boot(
    socket: BorrowedFd<'_>,
    spec: &ContainerSpec,
    cgroup: &Cgroup,
    confinement: &Confinement,
) -> Result<Infallible, Failure> {
    // A monitor that died before this line has closed its end of the socket: `receive` sees that.
    process::close_all_but(&[socket]).in_phase("identity", || "close descriptors".into())?;
    process::die_with_parent().in_phase("identity", || "tie to the monitor".into())?;
    // As root of the host, which this process still is as far as files are concerned.
    cgroup.leave_legacy().in_phase("cgroup", String::new)?;
    let supplied = receive(socket)?;
    assume_identity(spec)?;
    // The groups were entered; only from inside it does the new namespace hide what is above.
    namespace::unshare_cgroup().in_phase("cgroup", || "unshare the cgroup namespace".into())?;
    let devpts = root::build(&supplied, spec)?;
    let console = console::open(&devpts)?;
    set_kernel(spec)?;
    process::set_stdio([console.slave.as_fd(); 3]).in_phase("console", String::new)?;
    process::reset_signals().in_phase("identity", || "reset signals".into())?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    protocol::send(socket, &FromInit::Ready, &[console.master.as_fd()])
        .in_phase("console", || "hand over the console".into())?;
    if let Some(listener) = confinement.apply()? {
        protocol::send(socket, &FromInit::Listening, &[listener.as_fd()])
            .in_phase("confinement", || "hand over its system calls".into())?;
    }
    Err(execute(spec))
}

/// The mounts that the monitor has made.
struct Supplied {
    root: OwnedFd,
    dev: OwnedFd,
    view: Option<OwnedFd>,
    rest: Vec<(Placement, OwnedFd)>,
}

fn receive(socket: BorrowedFd<'_>) -> Result<Supplied, Failure> {
    let mut placements = Vec::new();
    let mut descriptors = Vec::new();
    let mut has_view = false;
    loop {
        let message = protocol::receive::<Supplies>(socket)
            .in_phase("supplies", || "receive the mounts".into())?;
        let Some((supplies, fds)) = message else {
            // The launch was given up.
            process::exit_now(1);
        };
        placements.extend(supplies.placements);
        descriptors.extend(fds);
        has_view |= supplies.view;
        if supplies.last {
            break;
        }
    }
    let mut descriptors = descriptors.into_iter();
    let (Some(root), Some(dev)) = (descriptors.next(), descriptors.next()) else {
        return Err(Failure {
            phase: "supplies".to_owned(),
            errno: 0,
            detail: "no root file system came".to_owned(),
        });
    };
    let view = has_view.then(|| descriptors.next()).flatten();
    let mut rest = Vec::new();
    for placement in placements {
        let mount = match placement.shelf {
            Some(index) => Some(take_from_shelf(index)?),
            None => descriptors.next(),
        };
        rest.extend(mount.map(|mount| (placement, mount)));
    }
    Ok(Supplied {
        root,
        dev,
        view,
        rest,
    })
}

/// Recursive: a mount that has locked ones below it can't be copied without them.
fn take_from_shelf(index: usize) -> Result<OwnedFd, Failure> {
    let place = Path::new(SHELF).join(index.to_string());
    mount::clone_tree(&place, Depth::Recursive, None).in_phase("mounts", String::new)
}

fn assume_identity(spec: &ContainerSpec) -> Result<(), Failure> {
    process::become_user(0, 0, &[]).in_phase("identity", || "become root".into())?;
    // Changing identity has made the kernel forget it.
    process::die_with_parent().in_phase("identity", || "tie to the monitor".into())?;
    rustix::process::setsid().in_phase("identity", || "begin a session".into())?;
    rustix::system::sethostname(spec.name.as_bytes())
        .in_phase("identity", || format!("set host name `{}`", spec.name))
}

fn set_kernel(spec: &ContainerSpec) -> Result<(), Failure> {
    for (name, value) in &spec.sysctls {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        fs::write(&path, value).in_phase("kernel", || format!("write `{value}` to `{path}`"))?;
    }
    link::set_up("lo").in_phase("network", || "bring `lo` up".into())?;
    for name in &spec.links {
        match link::set_up(name) {
            Err(error) if error.raw_os_error() != Some(rustix::io::Errno::NODEV.raw_os_error()) => {
                return Err(error).in_phase("network", || format!("bring `{name}` up"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Executes the first init that is there.
fn execute(spec: &ContainerSpec) -> Failure {
    let defaults: Vec<Vec<String>> = DEFAULT_INIT
        .iter()
        .map(|init| vec![(*init).to_owned()])
        .collect();
    let candidates = if spec.init.is_empty() {
        defaults
    } else {
        vec![spec.init.clone()]
    };
    let environment = environment(spec);
    let mut tried = Vec::new();
    let mut errno = rustix::io::Errno::NOENT.raw_os_error();
    for argv in candidates {
        let (Some(argv), Some(environment)) = (c_strings(&argv), c_strings(&environment)) else {
            return failed_exec(
                rustix::io::Errno::INVAL.raw_os_error(),
                "NUL in an argument".into(),
            );
        };
        let Some(program) = argv.first() else {
            continue;
        };
        let error = process::execute(program, &argv, &environment);
        tried.push(format!("`{}`: {error}", program.to_string_lossy()));
        errno = crate::confine::errno(&error);
        if errno != rustix::io::Errno::NOENT.raw_os_error() {
            break;
        }
    }
    failed_exec(errno, tried.join(", "))
}

fn failed_exec(errno: i32, detail: String) -> Failure {
    Failure {
        phase: "execute init".to_owned(),
        errno,
        detail,
    }
}

fn environment(spec: &ContainerSpec) -> Vec<String> {
    let is_set = |key: &str| spec.environment.iter().any(|(name, _)| name == key);
    let defaults = [
        ("container", "lxc"),
        ("PATH", PATH),
        ("HOME", "/"),
        ("TERM", "linux"),
    ];
    let defaults = defaults.into_iter().filter(|(key, _)| !is_set(key));
    let given = spec
        .environment
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()));
    defaults
        .chain(given)
        .map(|(key, value)| format!("{key}={value}"))
        .collect()
}

/// `None` if there is a NUL in one of them.
pub(crate) fn c_strings(strings: &[String]) -> Option<Vec<CString>> {
    strings
        .iter()
        .map(|string| CString::new(string.as_str()).ok())
        .collect()
}
