//! The harness of the end-to-end tests: a real `rlxcd` in a world of its own, the real `rlxc` against it, and a look
//! at what is left behind. It knows the product only from outside: its binaries, its directory and its wire format.
#![forbid(unsafe_code)]

pub mod api;
pub mod archive;
pub mod cli;
pub mod daemon;
pub mod image;
pub mod image_server;
pub mod leaks;
pub mod process;
pub mod terminal;
pub mod world;

pub use cli::Cli;
pub use daemon::Daemon;
pub use leaks::Leaks;
pub use world::{Uplink, World};

use std::io::Write as _;
use std::path::PathBuf;

/// Ends the test early, visibly, where the host can't run it: `require!(root)`, `require!(tool "mksquashfs")`.
///
/// With `RLXC_FORBID_SKIP=1` the test fails instead.
#[macro_export]
macro_rules! require {
    (root) => {
        if !$crate::is_root() {
            return $crate::skip(module_path!(), "needs root");
        }
    };
    (tool $name:literal) => {
        if !$crate::has_tool($name) {
            return $crate::skip(module_path!(), concat!("needs the program ", $name));
        }
    };
}

/// Says that a test is not run, or fails it where skips are forbidden.
pub fn skip(test: &str, reason: &str) {
    assert!(
        std::env::var_os("RLXC_FORBID_SKIP").is_none_or(|value| value != "1"),
        "{test} can't run here: {reason}"
    );
    // Straight to the stream: the capture of the test runner would hide it.
    let _ignored = writeln!(std::io::stderr(), "skipped: {reason} ({test})").is_err();
}

/// Whether we may make namespaces and mounts.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Whether a program is installed.
pub fn has_tool(name: &str) -> bool {
    ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/bin"]
        .iter()
        .any(|dir| PathBuf::from(dir).join(name).is_file())
}

/// The root of the source tree.
pub fn source_tree() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(PathBuf::from)
        .unwrap_or_default()
}

/// The directory with `rlxc`, `rlxcd` and `rlxc-monitor` of the profile that this test was built in, or `RLXC_BIN_DIR`.
pub fn binaries() -> PathBuf {
    if let Some(dir) = std::env::var_os("RLXC_BIN_DIR") {
        return PathBuf::from(dir);
    }
    let exe = std::env::current_exe().unwrap_or_default();
    let dir = exe.parent().map(PathBuf::from).unwrap_or_default();
    if dir.ends_with("deps") {
        dir.parent().map(PathBuf::from).unwrap_or_default()
    } else {
        dir
    }
}

/// A directory that outlives a test but not `cargo clean`: built images stay there.
pub fn cache_dir() -> PathBuf {
    let dir = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| source_tree().join("target"), PathBuf::from);
    dir.join("tmp").join("rlxc-tests")
}
