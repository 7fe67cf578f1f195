//! A stand-in for the daemon: makes a BusyBox root file system, starts the real monitor, speaks its protocol.

use std::fs;
use std::io::Read as _;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rlxc_container::cgroup::{self, Cgroup, Layout};
use rlxc_container::exit::ExitCause;
use rlxc_container::protocol::{self, ExecRequest, Failure, Reply, Request};
use rlxc_container::spec::{ContainerSpec, Interception, Limits, SeccompPolicy};
use rlxc_sys::idmap::{IDS_PER_CONTAINER, IdMap};
use rlxc_sys::rootfs::RootSource;
use rlxc_sys::{packet, pidfd};
use tempfile::TempDir;

/// First host id of test containers: beyond what any host hands out.
const FIRST_ID: u32 = 1_900_000_000;

/// True if the test can't run here; says so, or fails if skips are forbidden.
pub(crate) fn cannot_run() -> bool {
    let missing = if !rustix::process::geteuid().is_root() {
        Some("root")
    } else if !Path::new("/bin/busybox").exists() {
        Some("/bin/busybox (package busybox-static)")
    } else {
        None
    };
    if let Some(missing) = missing {
        assert!(
            std::env::var_os("RLXC_FORBID_SKIP").is_none(),
            "needs {missing}"
        );
        eprintln!("skipped: needs {missing}");
    }
    missing.is_some()
}

/// Directories of one container, gone when dropped.
pub(crate) struct Bed {
    dir: TempDir,
    pub(crate) spec: ContainerSpec,
}

impl Drop for Bed {
    /// The last one takes the common group away, once the last monitor is gone.
    fn drop(&mut self) {
        let layout = Layout::detect().unwrap();
        let top = Path::new(&self.spec.cgroup).parent().unwrap();
        for _attempt in 0..40 {
            cgroup::remove_empty(&layout, self.spec.cgroup.as_ref());
            let mut mounts = std::iter::once(&layout.unified).chain(&layout.hierarchies);
            if !mounts.any(|mount| mount.join(top).exists()) {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Inits to choose from.
pub(crate) enum Init {
    BusyBox,
    /// A shell script.
    Script(&'static str),
}

impl Bed {
    pub(crate) fn new(name: &str, init: &Init) -> Self {
        let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let dir = TempDir::new_in(scratch).unwrap();
        let lower = dir.path().join("image");
        make_root(&lower, init);
        for part in ["run", "upper", "work"] {
            fs::create_dir(dir.path().join(part)).unwrap();
        }
        let instance = format!("{name}-{}", std::process::id());
        let spec = ContainerSpec {
            name: name.to_owned(),
            runtime_dir: dir.path().join("run"),
            console_log: dir.path().join("console.log"),
            cgroup: format!("rlxc-test-{}/{instance}", std::process::id()),
            instance,
            idmap: Some(IdMap::contiguous(FIRST_ID, IDS_PER_CONTAINER)),
            rootfs: RootSource::Overlay {
                lower: vec![lower],
                upper: dir.path().join("upper"),
                work: dir.path().join("work"),
            },
            mounts: Vec::new(),
            devices: Vec::new(),
            links: vec!["eth0".to_owned()],
            init: Vec::new(),
            environment: Vec::new(),
            rlimits: Vec::new(),
            sysctls: Vec::new(),
            intercept: Interception::default(),
            seccomp: SeccompPolicy::default(),
            drop_capabilities: ["sys_module", "sys_rawio", "sys_time", "mac_admin"]
                .map(str::to_owned)
                .to_vec(),
            apparmor: None,
            nesting: false,
            masked_paths: Vec::new(),
            oom_score_adj: 0,
            limits: Limits::default(),
            view: true,
        };
        Self { dir, spec }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn cgroup(&self) -> Cgroup {
        Cgroup::new(Layout::detect().unwrap(), &self.spec.cgroup)
    }

    /// Starts a monitor and gives it the order.
    pub(crate) fn prepare(&self) -> Result<Prepared, Failure> {
        let (ours, theirs) = packet::pair().unwrap();
        #[expect(clippy::disallowed_methods, reason = "the program under test")]
        let mut launcher = Command::new(env!("CARGO_BIN_EXE_rlxc-monitor"))
            .arg0(format!("[rlxc monitor] {}", self.spec.name))
            .stdin(Stdio::from(theirs))
            .spawn()
            .unwrap();
        let start = Request::Start {
            spec: Box::new(self.spec.clone()),
        };
        protocol::send(ours.as_fd(), &start, &[]).unwrap();
        assert!(launcher.wait().unwrap().success());
        match receive(&ours) {
            (Reply::Cloned { pid }, fds) => Ok(Prepared {
                socket: ours,
                pid,
                fds,
            }),
            (Reply::Failed(failure), _) => Err(failure),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn start(&self) -> Result<Running, Failure> {
        self.prepare()?.release(&self.spec)
    }

    pub(crate) fn connect(&self) -> OwnedFd {
        packet::connect(&self.spec.runtime_dir, protocol::SOCKET).unwrap()
    }

    /// Fails if anything of the container is left.
    pub(crate) fn assert_nothing_left(&self) {
        assert!(!self.cgroup().path().exists(), "a cgroup is left");
        assert!(!self.spec.runtime_dir.join(protocol::SOCKET).exists());
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(self.path().to_str().unwrap()));
    }
}

/// A container whose first process waits.
#[derive(Debug)]
pub(crate) struct Prepared {
    socket: OwnedFd,
    pub(crate) pid: i32,
    pub(crate) fds: Vec<OwnedFd>,
}

impl Prepared {
    pub(crate) fn release(self, spec: &ContainerSpec) -> Result<Running, Failure> {
        // A launch that has failed meanwhile closes the socket, but not before it said why.
        drop(protocol::send(self.socket.as_fd(), &Request::Continue, &[]));
        match receive(&self.socket) {
            (Reply::Running { init_pid }, _) => {
                let control = packet::connect(&spec.runtime_dir, protocol::SOCKET).unwrap();
                let mut fds = hello(&control);
                Ok(Running {
                    init_pid,
                    control,
                    pidfd: fds.remove(0),
                })
            }
            (Reply::Failed(failure), _) => Err(failure),
            other => panic!("{other:?}"),
        }
    }
}

/// A container that runs, and a connection that listens.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) init_pid: i32,
    pub(crate) control: OwnedFd,
    pub(crate) pidfd: OwnedFd,
}

impl Drop for Running {
    /// A test that fails leaves nothing that runs.
    fn drop(&mut self) {
        drop(pidfd::send_signal(self.pidfd.as_fd(), 9));
    }
}

impl Running {
    pub(crate) fn exited(&self) -> ExitCause {
        match receive(&self.control) {
            (Reply::Exited { cause }, _) => cause,
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn hello(socket: &OwnedFd) -> Vec<OwnedFd> {
    protocol::send(socket.as_fd(), &Request::Hello { protocol: 1 }, &[]).unwrap();
    match receive(socket) {
        (Reply::Hello { protocol: 1, .. }, fds) => fds,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn receive(socket: &OwnedFd) -> (Reply, Vec<OwnedFd>) {
    protocol::receive(socket.as_fd())
        .unwrap()
        .expect("the monitor hung up")
}

pub(crate) fn ask(socket: &OwnedFd, request: &Request) -> (Reply, Vec<OwnedFd>) {
    protocol::send(socket.as_fd(), request, &[]).unwrap();
    receive(socket)
}

/// What a command wrote, and its status.
pub(crate) fn exec(bed: &Bed, request: &ExecRequest) -> (String, i32) {
    let socket = bed.connect();
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let null = fs::File::open("/dev/null").unwrap();
    let stdio = [null.as_fd(), writer.as_fd(), writer.as_fd()];
    protocol::send(socket.as_fd(), &Request::Exec(request.clone()), &stdio).unwrap();
    match receive(&socket).0 {
        Reply::ExecStarted { .. } => {}
        Reply::ExecFailed { errno, detail } => return (detail, -errno),
        other => panic!("{other:?}"),
    }
    drop(writer);
    let mut output = String::new();
    fs::File::from(reader).read_to_string(&mut output).unwrap();
    match receive(&socket).0 {
        Reply::ExecExited { status } => (output, status),
        other => panic!("{other:?}"),
    }
}

/// A request to run `argv` with a usual path.
pub(crate) fn command(argv: &[&str]) -> ExecRequest {
    ExecRequest {
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        env: vec![("PATH".to_owned(), "/bin:/sbin".to_owned())],
        cwd: "/".to_owned(),
        ..ExecRequest::default()
    }
}

pub(crate) fn shell(bed: &Bed, script: &str) -> (String, i32) {
    exec(bed, &command(&["sh", "-c", script]))
}

/// Waits for something that another process does.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn make_root(root: &Path, init: &Init) {
    for dir in [
        "bin", "sbin", "etc", "proc", "sys", "dev", "tmp", "root", "var",
    ] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    let applets = [
        "sh", "cat", "id", "ls", "echo", "sleep", "mount", "umount", "hostname", "kill", "ps",
        "reboot", "poweroff", "mkdir", "mknod", "true", "stty", "tty", "grep", "readlink", "chown",
        "touch", "stat", "ifconfig", "head", "rm", "dd", "mv",
    ];
    for applet in applets {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    match init {
        Init::BusyBox => {
            std::os::unix::fs::symlink("../bin/busybox", root.join("sbin/init")).unwrap();
            let table = "::sysinit:/bin/echo booted\n::wait:/bin/true\n";
            fs::write(root.join("etc/inittab"), table).unwrap();
        }
        Init::Script(script) => {
            let path = root.join("sbin/init");
            fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            make_executable(&path);
        }
    }
}

pub(crate) fn make_executable(path: &PathBuf) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
