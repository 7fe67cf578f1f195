//! Snapshots, copies, images and backups of a Debian on pools of two drivers, beside what LXD and Incus took on a machine
//! like the one where the aims were set.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::contestant::Contestant;
use crate::cycle::millis;
use crate::say;

/// Rest between two commands, so that what one leaves to the background is not counted for the next.
const REST: Duration = Duration::from_millis(250);
/// How much is written into the instance before snapshots of it while it runs.
const DELTA: &str = "mkdir /srv/delta && cp -a /usr/lib /srv/delta/ && du -sm /srv/delta | cut -f1";

/// What is measured: name; LXD's median on `dir` and on `btrfs`, Incus's on `btrfs`, in ms; aims for `overlay` and `btrfs`.
type Row = (&'static str, [Option<f64>; 3], [Option<f64>; 2]);

const ROWS: [Row; 17] = [
    (
        "snapshot, stopped",
        [Some(1700.0), Some(113.0), Some(72.0)],
        [Some(7.0), Some(55.0)],
    ),
    (
        "snapshot, running",
        [Some(1700.0), Some(113.0), Some(72.0)],
        [None, Some(55.0)],
    ),
    (
        "snapshot, running, after a large change",
        [None; 3],
        [None; 2],
    ),
    ("… frozen for", [None; 3], [Some(100.0), Some(100.0)]),
    (
        "restore, stopped",
        [Some(294.0), Some(115.0), Some(84.0)],
        [Some(8.0), Some(57.0)],
    ),
    (
        "restore, running",
        [Some(1270.0), Some(1080.0), None],
        [Some(108.0), Some(540.0)],
    ),
    (
        "snapshot delete",
        [Some(638.0), Some(52.0), None],
        [Some(7.0), Some(26.0)],
    ),
    (
        "copy",
        [Some(1190.0), Some(121.0), Some(78.0)],
        [Some(8.0), Some(60.0)],
    ),
    (
        "copy with five snapshots",
        [None, Some(424.0), None],
        [Some(42.0), Some(212.0)],
    ),
    (
        "delete, stopped",
        [Some(258.0), Some(32.0), None],
        [Some(7.0), Some(16.0)],
    ),
    (
        "publish, uncompressed",
        [Some(1620.0), Some(1820.0), None],
        [Some(810.0), Some(810.0)],
    ),
    (
        "publish, gzip",
        [Some(6500.0), None, None],
        [Some(3250.0), Some(3250.0)],
    ),
    ("publish, zstd", [None; 3], [Some(810.0), Some(810.0)]),
    (
        "export, uncompressed",
        [Some(1616.0), Some(2243.0), None],
        [Some(808.0), Some(808.0)],
    ),
    (
        "export, gzip",
        [Some(6300.0), None, None],
        [Some(3150.0), Some(3150.0)],
    ),
    ("export, zstd", [None; 3], [Some(808.0), Some(808.0)]),
    (
        "import",
        [None, Some(1680.0), None],
        [Some(840.0), Some(840.0)],
    ),
];

/// Medians by row, of one pool.
type Column = Vec<Option<f64>>;

struct Bench<'a> {
    contestant: &'a Contestant,
    samples: Vec<Vec<f64>>,
}

/// Measures on a pool of each driver; a markdown table.
pub(crate) fn measure(contestant: &Contestant, runs: usize) -> anyhow::Result<String> {
    contestant.import(&rlxc_tests::image::debian()?, "debian-storage")?;
    contestant.ok(&["storage", "create", "bench-overlay", "overlay"])?;
    contestant.ok(&["storage", "create", "bench-btrfs", "btrfs", "size=6GiB"])?;
    let mut columns = Vec::new();
    for pool in ["bench-overlay", "bench-btrfs"] {
        say(&format!("storage: {runs} rounds on {pool}"));
        let mut bench = Bench {
            contestant,
            samples: vec![Vec::new(); ROWS.len()],
        };
        bench.stopped(pool, runs)?;
        bench.running(pool, runs.min(5))?;
        bench.archives(pool, runs.min(3))?;
        columns.push(
            bench
                .samples
                .iter()
                .map(|samples| median(samples))
                .collect(),
        );
    }
    Ok(table(&columns))
}

impl Bench<'_> {
    fn note(&mut self, name: &str, value: f64) {
        let row = ROWS.iter().position(|row| row.0 == name);
        if let Some(samples) = row.and_then(|row| self.samples.get_mut(row)) {
            samples.push(value);
        }
    }

    fn timed(&mut self, name: &str, words: &[&str]) -> anyhow::Result<()> {
        let elapsed = self.contestant.timed(words)?;
        self.note(name, millis(elapsed));
        std::thread::sleep(REST);
        Ok(())
    }

    fn stopped(&mut self, pool: &str, runs: usize) -> anyhow::Result<()> {
        let ok = |words: &[&str]| self.contestant.ok(words);
        ok(&["launch", "debian-storage", "st", "-s", pool])?;
        ok(&["exec", "st", "--", "touch", "/root/changed"])?;
        ok(&["stop", "-f", "st"])?;
        for number in 0..runs {
            let name = format!("s{number}");
            self.timed("snapshot, stopped", &["snapshot", "create", "st", &name])?;
            self.timed("restore, stopped", &["snapshot", "restore", "st", &name])?;
            self.timed("snapshot delete", &["snapshot", "delete", "st", &name])?;
            self.timed("copy", &["copy", "st", "st2"])?;
            self.timed("delete, stopped", &["delete", "st2"])?;
        }
        for number in 0..5 {
            self.contestant
                .ok(&["snapshot", "create", "st", &format!("five{number}")])?;
        }
        for _ in 0..runs {
            self.timed("copy with five snapshots", &["copy", "st", "st2"])?;
            self.contestant.ok(&["delete", "st2"])?;
            std::thread::sleep(REST);
        }
        self.contestant.ok(&["delete", "st"])?;
        Ok(())
    }

    fn running(&mut self, pool: &str, runs: usize) -> anyhow::Result<()> {
        self.contestant
            .ok(&["launch", "debian-storage", "ru", "-s", pool])?;
        std::thread::sleep(Duration::from_secs(5));
        for number in 0..runs {
            let name = format!("s{number}");
            self.timed("snapshot, running", &["snapshot", "create", "ru", &name])?;
            self.timed("restore, running", &["snapshot", "restore", "ru", &name])?;
            std::thread::sleep(Duration::from_secs(1));
        }
        let size = self
            .contestant
            .ok(&["exec", "ru", "--", "sh", "-c", DELTA])?;
        say(&format!("storage: {} MiB changed", size.stdout.trim()));
        for number in 0..runs {
            let name = format!("big{number}");
            let row = "snapshot, running, after a large change";
            let gap = std::thread::scope(|scope| {
                let gap = scope.spawn(|| longest_pause(self.contestant, "ru"));
                std::thread::sleep(Duration::from_millis(500));
                let taken = self.contestant.timed(&["snapshot", "create", "ru", &name]);
                (taken, gap.join())
            });
            self.note(row, millis(gap.0?));
            let pause = gap.1.ok().context("the watcher panicked")??;
            self.note("… frozen for", pause);
        }
        self.contestant.ok(&["delete", "-f", "ru"])?;
        Ok(())
    }

    fn archives(&mut self, pool: &str, runs: usize) -> anyhow::Result<()> {
        self.contestant
            .ok(&["create", "debian-storage", "ar", "-s", pool])?;
        let file = self.contestant.scratch().join("backup");
        let path = file.display().to_string();
        settle();
        for _ in 0..runs {
            for (how, publish, export) in [
                ("none", "publish, uncompressed", "export, uncompressed"),
                ("gzip", "publish, gzip", "export, gzip"),
                ("zstd", "publish, zstd", "export, zstd"),
            ] {
                let words = [
                    "publish",
                    "ar",
                    "--alias",
                    "published",
                    "--compression",
                    how,
                ];
                self.timed(publish, &words)?;
                self.contestant.ok(&["image", "delete", "published"])?;
                self.timed(export, &["export", "ar", &path, "--compression", how])?;
                self.import(pool, &file, how)?;
            }
        }
        self.contestant.ok(&["delete", "ar"])?;
        Ok(())
    }

    fn import(&mut self, pool: &str, file: &Path, how: &str) -> anyhow::Result<()> {
        if how == "zstd" {
            let path = file.display().to_string();
            self.timed("import", &["import", &path, "ar2", "-s", pool])?;
            self.contestant.ok(&["delete", "ar2"])?;
        }
        std::fs::remove_file(file)?;
        settle();
        Ok(())
    }
}

/// What was written, and deleted again, must not be on its way to the disk when the next measurement begins.
fn settle() {
    nix::unistd::sync();
    std::thread::sleep(REST);
}

/// The longest time in ms in which a loop inside did not get on, over some seconds.
fn longest_pause(contestant: &Contestant, name: &str) -> anyhow::Result<f64> {
    let watch = "import time\nlast, worst, end = time.monotonic(), 0, time.monotonic() + 4\n\
                 while last < end:\n time.sleep(0.001)\n now = time.monotonic()\n worst = max(worst, now - last)\n last = now\nprint(worst * 1000)";
    let perl = "use Time::HiRes qw(time sleep); my ($last, $worst, $end) = (time, 0, time + 4); \
                while ($last < $end) { sleep 0.001; my $now = time; $worst = $now - $last if $now - $last > $worst; $last = $now } print $worst * 1000";
    let started = Instant::now();
    let script = format!("python3 -c '{watch}' 2>/dev/null || perl -e '{perl}'");
    let output = contestant.ok(&["exec", name, "--", "sh", "-c", &script])?;
    anyhow::ensure!(
        started.elapsed() >= Duration::from_secs(4),
        "the watcher ended early"
    );
    output
        .stdout
        .trim()
        .parse()
        .context("what the watcher says")
}

fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

fn table(columns: &[Column]) -> String {
    let mut text = String::from(
        "| median, Debian, ms | overlay | aim | btrfs | aim | LXD dir | LXD btrfs | Incus btrfs |\n|---|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    let show =
        |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.1}"));
    for (index, (name, before, aims)) in ROWS.iter().enumerate() {
        let _infallible = write!(text, "| {name} |");
        for (column, aim) in columns.iter().zip(aims) {
            let ours = column.get(index).copied().flatten();
            let verdict = match (ours, aim) {
                (Some(ours), Some(aim)) if ours > *aim => " **falls short**",
                _ => "",
            };
            let limit = aim.map_or_else(|| "–".to_owned(), |aim| format!("≤ {aim:.0}{verdict}"));
            let _infallible = write!(text, " {} | {limit} |", show(ours));
        }
        for value in before {
            let _infallible = write!(text, " {} |", show(*value));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_misses_its_aim_is_said_to_fall_short() {
        let mut column: Column = vec![None; ROWS.len()];
        column[0] = Some(9.0);
        let text = table(&[column.clone(), column]);
        assert!(
            text.contains(
                "| snapshot, stopped | 9.0 | ≤ 7 **falls short** | 9.0 | ≤ 55 | 1700.0 |"
            ),
            "{text}"
        );
    }
}
