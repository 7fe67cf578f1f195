//! What work costs inside, beside the same program outside at the same moment: processors alone, system calls, fork and
//! exec. Measured by the work itself, so that the way in is not counted.

use anyhow::Context as _;
use rlxc_tests::process::Run;

use crate::contestant::Contestant;
use crate::cycle::millis;
use crate::report::{Column, Figure};
use crate::say;

/// Each some tenths of a second on a slow machine.
const WORK: [(Figure, &str); 3] = [
    (
        Figure::CpuWork,
        "/bin/busybox awk 'BEGIN { for (i = 0; i < 3000000; i++) x += i * i }'",
    ),
    (
        Figure::CallWork,
        "/bin/busybox dd if=/dev/zero of=/dev/null bs=1 count=700000 2>/dev/null",
    ),
    (
        Figure::ForkWork,
        "i=0; while [ $i -lt 700 ]; do /bin/busybox true; i=$((i+1)); done",
    ),
];

/// The time in microseconds, in a shell that has nothing but busybox, whose `date` knows no parts of seconds.
const NOW: &str = "now() { set -- $(/bin/busybox adjtimex | /bin/busybox sed -n 's/.*tv_u*sec: *//p'); echo $(($1 * 1000000 + $2)); }; ";

/// In turns, and the ratio of each pair: what else goes on concerns both.
pub(crate) fn measure(
    contestant: &Contestant,
    runs: usize,
    column: &mut Column,
) -> anyhow::Result<()> {
    say(&format!("{}: work inside and outside", contestant.name));
    contestant.ok(&["launch", "busybox", "w1"])?;
    for (figure, work) in WORK {
        let script = format!("{NOW}a=$(now); {work}; b=$(now); echo $((b-a))");
        let shell = ["/bin/busybox", "sh", "-c", script.as_str()];
        let inside: Vec<&str> = ["exec", "w1", "--"].into_iter().chain(shell).collect();
        for _ in 0..runs {
            let outside = microseconds(&Run::new(shell).ok()?.stdout)?;
            let inside = microseconds(&contestant.ok(&inside)?.stdout)?;
            column.add(figure, inside / outside);
        }
    }
    streams(contestant, runs, column)?;
    neighbour(contestant, column)?;
    contestant.ok(&["delete", "-f", "w1"])?;
    Ok(())
}

/// Others take ten seconds for each.
const MOST_STREAMS: usize = 7;

/// A gibibyte out of an instance, and into it, through the pipes of a command.
fn streams(contestant: &Contestant, runs: usize, column: &mut Column) -> anyhow::Result<()> {
    let zeros = contestant.scratch().join("zeros");
    std::fs::File::create(&zeros)?.set_len(1 << 30)?;
    let from_zeros = format!("< {}", zeros.display());
    let dd = ["exec", "w1", "--", "/bin/busybox", "dd", "bs=1M"];
    let out = [&dd[..], &["if=/dev/zero", "count=1024"]].concat();
    let into = [&dd[..], &["of=/dev/null"]].concat();
    for _ in 0..runs.min(MOST_STREAMS) {
        let took = contestant.redirected(&out, "> /dev/null").timed()?;
        column.add(Figure::ExecOut, millis(took));
        let took = contestant.redirected(&into, &from_zeros).timed()?;
        column.add(Figure::ExecIn, millis(took));
    }
    Ok(())
}

/// The 99th percentile of what two hundred rounds of forks and execs take in one instance, beside another one that asks for
/// memory until it is killed, again and again, and without.
fn neighbour(contestant: &Contestant, column: &mut Column) -> anyhow::Result<()> {
    const BOMB: &str = "(while :; do tail /dev/zero; done) >/dev/null 2>&1 </dev/null &";
    const ROUNDS: usize = 200;
    const ROUND: &str =
        "/bin/busybox true; /bin/busybox true; /bin/busybox true; /bin/busybox true";
    let script = format!(
        "{NOW}i=0; while [ $i -lt {ROUNDS} ]; do a=$(now); {ROUND}; b=$(now); echo $((b-a)); i=$((i+1)); done"
    );
    let rounds = ["exec", "w1", "--", "/bin/busybox", "sh", "-c", &script];
    let slowest = || -> anyhow::Result<f64> {
        let lines = contestant.ok(&rounds)?.stdout;
        let mut times: Vec<f64> = lines.lines().map(microseconds).collect::<Result<_, _>>()?;
        times.sort_by(f64::total_cmp);
        times
            .get(ROUNDS - ROUNDS / 100)
            .copied()
            .context("no samples")
    };
    // Each on a processor of its own: what is asked is whether memory is kept apart.
    contestant.ok(&["launch", "busybox", "w2"])?;
    for name in ["w1", "w2"] {
        contestant.ok(&["config", "set", name, "limits.memory", "64MiB"])?;
        contestant.ok(&["config", "set", name, "limits.cpu", "1"])?;
    }
    let calm = slowest()?;
    contestant.ok(&["exec", "w2", "--", "/bin/busybox", "sh", "-c", BOMB])?;
    column.add(Figure::BesideBomb, slowest()? / calm);
    contestant.ok(&["delete", "-f", "w2"])?;
    Ok(())
}

fn microseconds(text: &str) -> anyhow::Result<f64> {
    let number: f64 = text
        .trim()
        .parse()
        .with_context(|| format!("`{text}` is no time"))?;
    anyhow::ensure!(number > 0.0, "no time passed");
    Ok(number)
}
