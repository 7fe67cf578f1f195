//! Links OpenSSL into `rlxc` where its static libraries are there and need nothing else: loading the shared ones would cost each
//! command a millisecond, also those that never leave the host.

use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // At a fixed address (decision 6): otherwise the loader writes to a hundred pages of pointers before each command.
    println!("cargo:rustc-link-arg-bins=-no-pie");
    println!("cargo:rerun-if-env-changed=RLXC_OPENSSL_SHARED");
    if std::env::var_os("RLXC_OPENSSL_SHARED").is_none()
        && let Some(directory) = libraries()
        && let Some(place) = gather(&directory)
    {
        println!("cargo:rustc-link-search=native={}", place.display());
    }
}

/// Where the static libraries are, if nothing but libc is needed beside them.
fn libraries() -> Option<PathBuf> {
    let private = ask(&["--static", "--libs-only-l", "libssl"])?;
    let known = ["-lssl", "-lcrypto", "-ldl", "-lpthread", "-pthread"];
    if private
        .split_whitespace()
        .any(|word| !known.contains(&word))
    {
        return None;
    }
    Some(ask(&["--variable=libdir", "libssl"])?.trim().into())
}

fn ask(args: &[&str]) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a build script runs before rlxc-sys is built"
    )]
    let output = std::process::Command::new("pkg-config")
        .args(args)
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then_some(text)
}

/// A directory that has only them: the linker takes a shared library where it finds both.
fn gather(directory: &Path) -> Option<PathBuf> {
    let place = PathBuf::from(std::env::var_os("OUT_DIR")?);
    for name in ["libssl.a", "libcrypto.a"] {
        let link = place.join(name);
        let _was_there = std::fs::remove_file(&link).is_ok();
        let file = directory.join(name);
        if !file.is_file() {
            return None;
        }
        std::os::unix::fs::symlink(file, link).ok()?;
    }
    Some(place)
}
