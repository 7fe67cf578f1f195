//! Plain LXC: what containers cost without a daemon, an image store and a bridge. Only some figures apply.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rlxc_tests::process::Run;
use rlxc_tests::{Uplink, World};

use crate::contestant::installed;
use crate::cycle::millis;
use crate::report::{Column, Figure};
use crate::{Options, memory, say};

struct Plain {
    world: World,
    path: String,
}

pub(crate) fn measure(options: &Options) -> anyhow::Result<Column> {
    installed("lxc-start")?;
    let dir = tempfile::Builder::new()
        .prefix("rlxc-bench.")
        .tempdir_in("/var/tmp")?;
    std::fs::set_permissions(
        dir.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )?;
    let plain = Plain {
        world: World::new(Uplink::Isolated)?,
        path: dir.path().display().to_string(),
    };
    let mut column = Column::new("plain LXC");
    let tar = dir.path().join("busybox.tar");
    std::fs::write(&tar, rlxc_tests::image::busybox()?)?;
    plain.create("busybox", &[tar])?;
    say(&format!("plain LXC: {} rounds of busybox", options.runs));
    for round in 0..=options.runs {
        let mut warm = Column::new("warm up");
        plain.once(if round == 0 { &mut warm } else { &mut column })?;
    }
    if options.debian {
        plain.create("debian", &rlxc_tests::image::debian()?)?;
        for _ in 0..options.runs.min(7) {
            column.add(Figure::DebianRunning, plain.debian()?);
        }
    }
    Ok(column)
}

impl Plain {
    /// Timed from outside, `nsenter` and all: its share of about 2 ms is in these figures.
    fn timed(&self, tool: &str, name: &str, rest: &[&str]) -> anyhow::Result<f64> {
        let line = [tool, "-P", &self.path, "-n", name];
        let run = self.world.enter(line.iter().chain(rest).copied());
        Ok(millis(run.timed()?))
    }

    fn create(&self, name: &str, files: &[PathBuf]) -> anyhow::Result<()> {
        let root = Path::new(&self.path).join(name);
        std::fs::create_dir_all(&root)?;
        // A unified image has `rootfs/` in it; of a split one the last file is the content of it.
        let target = if files.len() == 1 {
            root.clone()
        } else {
            root.join("rootfs")
        };
        std::fs::create_dir_all(&target)?;
        let tar = files.last().context("an image without files")?;
        let words = [
            "tar",
            "-xf",
            &tar.to_string_lossy(),
            "-C",
            &target.to_string_lossy(),
            "--numeric-owner",
        ];
        Run::new(words).deadline(Duration::from_secs(300)).ok()?;
        let config = format!(
            "lxc.uts.name = {name}\nlxc.rootfs.path = dir:{}/rootfs\nlxc.rootfs.options = idmap=container\n\
             lxc.idmap = u 0 1000000 65536\nlxc.idmap = g 0 1000000 65536\nlxc.net.0.type = empty\n\
             lxc.mount.auto = proc:mixed sys:mixed cgroup:mixed\nlxc.apparmor.profile = unconfined\n",
            root.display()
        );
        std::fs::write(root.join("config"), config)?;
        Ok(())
    }

    fn once(&self, column: &mut Column) -> anyhow::Result<()> {
        column.add(Figure::Start, self.timed("lxc-start", "busybox", &[])?);
        column.add(
            Figure::Exec,
            self.timed("lxc-attach", "busybox", &["--", "/bin/true"])?,
        );
        for size in memory::monitors(self.world.init_pid())? {
            column.add(Figure::MonitorMemory, size);
        }
        column.add(
            Figure::ForcedStop,
            self.timed("lxc-stop", "busybox", &["-k"])?,
        );
        Ok(())
    }

    fn debian(&self) -> anyhow::Result<f64> {
        let started = Instant::now();
        self.timed("lxc-start", "debian", &[])?;
        let ask = [
            "lxc-attach",
            "-P",
            &self.path,
            "-n",
            "debian",
            "--",
            "systemctl",
            "is-system-running",
            "--wait",
        ];
        while !self.world.enter(ask).output()?.stdout.contains("running") {
            if started.elapsed() > Duration::from_secs(60) {
                bail!("Debian does not come up under plain LXC");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let elapsed = millis(started.elapsed());
        self.timed("lxc-stop", "debian", &["-k"])?;
        Ok(elapsed)
    }
}
