//! The images that tests start from: a small one of busybox, made here, and a real Debian, built by the product once.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::fcntl::{Flock, FlockArg};

use crate::archive::{Archive, fingerprint, metadata, pack};
use crate::daemon::Daemon;
use crate::world::Uplink;

const INITTAB: &str = "::sysinit:/etc/rc\n::respawn:/bin/udhcpc -i eth0 -f -t 20 -T 1 -A 1 -x hostname:$(hostname) -s /etc/udhcpc.script\n\
console::respawn:-/bin/sh\n::ctrlaltdel:/bin/reboot\n::shutdown:/bin/sync\n";
const RC: &str = "#!/bin/sh\necho booting busybox\nmkdir -p /run /tmp\n[ -e /etc/boots ] || : > /etc/boots\necho boot >> /etc/boots\n\
hostname > /run/hostname\n";
const UDHCPC: &str = "#!/bin/sh\ncase \"$1\" in\ndeconfig) ip addr flush dev $interface; ip link set $interface up ;;\n\
bound|renew)\n  ip addr flush dev $interface\n  ip addr add $ip/${mask:-24} dev $interface\n\
  [ -n \"$router\" ] && ip route replace default via ${router%% *} dev $interface\n\
  : > /etc/resolv.conf.new\n  [ -n \"$domain\" ] && echo search $domain >> /etc/resolv.conf.new\n\
  for s in $dns; do echo nameserver $s >> /etc/resolv.conf.new; done\n  mv /etc/resolv.conf.new /etc/resolv.conf ;;\nesac\nexit 0\n";

/// A unified tarball with busybox as init, DHCP on `eth0`, root and a user `guest` (1000). About 2 MB.
pub fn busybox() -> anyhow::Result<Vec<u8>> {
    let dir = tempfile::tempdir()?;
    busybox_tree(dir.path())?;
    pack(
        dir.path(),
        "rootfs",
        unfinished(Archive::image("busybox for tests")),
    )
}

/// The same as a split image: the metadata tarball and the root file system's.
pub fn busybox_split() -> anyhow::Result<(Vec<u8>, Vec<u8>)> {
    let dir = tempfile::tempdir()?;
    busybox_tree(dir.path())?;
    let meta = Archive::new().file("metadata.yaml", 0o644, metadata("split busybox").as_bytes());
    Ok((meta.finish(), pack(dir.path(), ".", Vec::new())?))
}

/// The metadata tarball and a squashfs of the root file system, made by `mksquashfs` in a directory that is empty.
pub fn busybox_squashfs(work: &Path) -> anyhow::Result<(Vec<u8>, Vec<u8>)> {
    busybox_squashfs_with(work, &[])
}

/// The same with more files in it, by path and content.
pub fn busybox_squashfs_with(
    work: &Path,
    files: &[(&str, &[u8])],
) -> anyhow::Result<(Vec<u8>, Vec<u8>)> {
    let tree = work.join("squashfs-root");
    busybox_tree(&tree)?;
    for (path, content) in files {
        std::fs::write(tree.join(path), content)?;
    }
    let file = work.join("root.squashfs");
    let argv = [
        "mksquashfs".into(),
        tree.into_os_string(),
        file.clone().into_os_string(),
        "-quiet".into(),
        "-no-progress".into(),
    ];
    crate::process::Run::new(argv).ok()?;
    let meta = Archive::new().file(
        "metadata.yaml",
        0o644,
        metadata("squashfs busybox").as_bytes(),
    );
    Ok((meta.finish(), std::fs::read(file)?))
}

/// Imports the busybox image under the alias `busybox` into a daemon.
#[track_caller]
pub fn import_busybox(daemon: &Daemon) {
    let import = || -> anyhow::Result<()> {
        let path = daemon.dir().with_file_name("busybox.tar");
        std::fs::write(&path, busybox()?)?;
        daemon.cli().ok([
            "image",
            "import",
            &path.to_string_lossy(),
            "--alias",
            "busybox",
        ]);
        Ok(())
    };
    if let Err(error) = import() {
        panic!("import the busybox image: {error:?}");
    }
}

/// Imports a real Debian 12 under the alias `debian/12`; the first test that needs it has it built by the product.
#[track_caller]
pub fn import_debian(daemon: &Daemon) {
    import_debian_with(daemon, "");
}

/// The same with packages that the usual one does not have, joined by commas.
#[track_caller]
pub fn import_debian_with(daemon: &Daemon, packages: &str) {
    match build_debian(packages) {
        Ok(files) => {
            let mut args = vec!["image".to_owned(), "import".to_owned()];
            args.extend(files.iter().map(|path| path.display().to_string()));
            args.extend(["--alias".to_owned(), "debian/12".to_owned()]);
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            daemon.cli().ok_within(Duration::from_secs(300), &args);
        }
        Err(error) => panic!("build the Debian image: {error:?}"),
    }
}

/// The files of the exported Debian image in their order; one for all tests of a source state, whoever comes first
/// builds it.
pub fn debian() -> anyhow::Result<Vec<PathBuf>> {
    build_debian("")
}

fn build_debian(packages: &str) -> anyhow::Result<Vec<PathBuf>> {
    let cache = crate::cache_dir();
    std::fs::create_dir_all(&cache)?;
    let lock = File::create(cache.join("debian.lock"))?;
    let Ok(_lock) = Flock::lock(lock, FlockArg::LockExclusive) else {
        bail!("lock {}", cache.display());
    };
    let name = ["debian-12", &recipe()?, packages].join("-");
    let done = cache.join(name.replace(',', "-").trim_end_matches('-'));
    if !done.is_dir() {
        let partial = cache.join("partial");
        if partial.exists() {
            std::fs::remove_dir_all(&partial)?;
        }
        std::fs::create_dir(&partial)?;
        let mut daemon = Daemon::prepared(Uplink::Shared);
        daemon.start();
        let limit = Duration::from_secs(900);
        let target = partial.join("image").display().to_string();
        let mut build = vec!["image", "build", "debian/12", "--alias", "debian/12"];
        if !packages.is_empty() {
            build.extend(["--packages", packages]);
        }
        daemon.cli().ok_within(limit, &build);
        daemon
            .cli()
            .ok_within(limit, &["image", "export", "debian/12", &target]);
        std::fs::rename(&partial, &done)?;
    }
    // `image.tar.…` alone, or `image` with the metadata and `image.root` after it.
    let mut files: Vec<PathBuf> = std::fs::read_dir(&done)?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    files.sort();
    if files.is_empty() {
        bail!("nothing was exported to {}", done.display());
    }
    Ok(files)
}

/// Changes when the code that builds the image changes.
fn recipe() -> anyhow::Result<String> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(crate::source_tree().join("server/src/image_build"))?
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.is_file())
            .collect();
    files.sort();
    let contents = files
        .iter()
        .map(std::fs::read)
        .collect::<Result<Vec<_>, _>>()?;
    let parts: Vec<&[u8]> = contents.iter().map(Vec::as_slice).collect();
    Ok(fingerprint(&parts)[..12].to_owned())
}

fn unfinished(archive: Archive) -> Vec<u8> {
    let mut bytes = archive.finish();
    bytes.truncate(bytes.len() - 1024);
    bytes
}

fn busybox_tree(root: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::{PermissionsExt, symlink};
    for dir in [
        "bin",
        "sbin",
        "dev",
        "etc",
        "proc",
        "root",
        "run",
        "sys",
        "tmp",
        "usr/bin",
        "var/log",
        "home/guest",
    ] {
        std::fs::create_dir_all(root.join(dir))?;
    }
    let busybox = root.join("bin/busybox");
    std::fs::copy("/bin/busybox", &busybox)
        .context("the package busybox-static gives /bin/busybox")?;
    std::fs::set_permissions(&busybox, PermissionsExt::from_mode(0o755))?;
    for applet in crate::process::Run::new(["/bin/busybox", "--list"])
        .ok()?
        .stdout
        .lines()
    {
        if applet != "busybox" {
            symlink("busybox", root.join("bin").join(applet))?;
        }
    }
    symlink("/bin/busybox", root.join("sbin/init"))?;
    symlink("/bin/busybox", root.join("usr/bin/env"))?;
    for (name, mode, text) in [
        ("etc/inittab", 0o644, INITTAB),
        ("etc/rc", 0o755, RC),
        ("etc/udhcpc.script", 0o755, UDHCPC),
        (
            "etc/passwd",
            0o644,
            "root:x:0:0:root:/root:/bin/sh\nguest:x:1000:1000:guest:/home/guest:/bin/sh\n",
        ),
        ("etc/group", 0o644, "root:x:0:\nguest:x:1000:\n"),
        ("etc/profile", 0o644, "export PATH=/bin:/sbin:/usr/bin\n"),
        ("etc/os-release", 0o644, "ID=busybox\nNAME=busybox\n"),
    ] {
        std::fs::write(root.join(name), text)?;
        std::fs::set_permissions(root.join(name), PermissionsExt::from_mode(mode))?;
    }
    nix::unistd::chown(
        &root.join("home/guest"),
        Some(1000.into()),
        Some(1000.into()),
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busybox_image_boots_what_it_says() {
        crate::require!(root);
        let bytes = busybox().unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let names: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(names[0], "metadata.yaml");
        for name in [
            "rootfs/sbin/init",
            "rootfs/etc/inittab",
            "rootfs/bin/udhcpc",
        ] {
            assert!(names.iter().any(|found| found == name), "{name} is missing");
        }
    }

    #[test]
    fn a_split_image_has_two_parts() {
        crate::require!(root);
        let (meta, root) = busybox_split().unwrap();
        assert!(meta.len() < 10_000 && root.len() > 500_000);
    }
}
