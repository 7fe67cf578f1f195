//! One contestant's figures: the verbs in the order in which a user would meet them, again and again.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::contestant::Contestant;
use crate::report::{Column, Figure};
use crate::{Options, memory, say, work};

/// Rest between two verbs, so that what one leaves to the background is not counted for the next.
const REST: Duration = Duration::from_millis(60);
const DEBIAN_LIMIT: Duration = Duration::from_secs(60);

pub(crate) fn measure(contestant: &Contestant, options: &Options) -> anyhow::Result<Column> {
    let mut column = Column::new(&contestant.name);
    let tar = contestant.scratch().join("busybox.tar");
    std::fs::write(&tar, rlxc_tests::image::busybox()?)?;
    contestant.import(&[tar], "busybox")?;
    once(
        contestant,
        "busybox",
        &mut Column::new("warm up"),
        Figure::LaunchBusybox,
    )?;
    column.add(
        Figure::DaemonMemory,
        memory::resident(contestant.daemon_pid())?,
    );
    say(&format!(
        "{}: {} rounds of busybox",
        contestant.name, options.runs
    ));
    for _ in 0..options.runs {
        once(contestant, "busybox", &mut column, Figure::LaunchBusybox)?;
    }
    lists(contestant, options.runs, &mut column)?;
    work::measure(contestant, options.runs, &mut column)?;
    if options.debian {
        debian(contestant, options.runs.min(7), &mut column)?;
    }
    column.add(
        Figure::DaemonMemoryAfter,
        memory::resident(contestant.daemon_pid())?,
    );
    Ok(column)
}

/// launch → exec → stop → start → delete.
fn once(
    contestant: &Contestant,
    image: &str,
    column: &mut Column,
    launch: Figure,
) -> anyhow::Result<()> {
    let mut timed = |figure, args: &[&str]| -> anyhow::Result<()> {
        column.add(figure, millis(contestant.timed(args)?));
        std::thread::sleep(REST);
        Ok(())
    };
    timed(launch, &["launch", image, "b1"])?;
    timed(Figure::Exec, &["exec", "b1", "--", "true"])?;
    timed(Figure::ForcedStop, &["stop", "-f", "b1"])?;
    timed(Figure::Start, &["start", "b1"])?;
    timed(Figure::DeleteRunning, &["delete", "-f", "b1"])
}

fn lists(contestant: &Contestant, runs: usize, column: &mut Column) -> anyhow::Result<()> {
    let names: Vec<String> = (0..10).map(|n| format!("l{n}")).collect();
    for name in &names {
        contestant.ok(&["launch", "busybox", name])?;
        if name == "l0" {
            time_list(contestant, runs, column, Figure::ListOne)?;
        }
    }
    time_list(contestant, runs, column, Figure::ListTen)?;
    if let Err(error) = over_tls(contestant, runs, column) {
        say(&format!("{}: not over TLS: {error:#}", contestant.name));
    }
    for size in memory::monitors(contestant.world_pid())? {
        column.add(Figure::MonitorMemory, size);
    }
    for name in &names {
        contestant.ok(&["delete", "-f", name])?;
    }
    Ok(())
}

/// The same daemon as a remote: a connection and a handshake for each command.
fn over_tls(contestant: &Contestant, runs: usize, column: &mut Column) -> anyhow::Result<()> {
    contestant.ok(&["config", "set", "core.https_address", "127.0.0.1:8443"])?;
    let given = contestant.ok(contestant.trust)?.stdout;
    let token = given.lines().last().unwrap_or_default().trim();
    contestant
        .inside(&["remote", "add", "box", token])
        .ok()
        .context("add it as a remote")?;
    for took in contestant.timed_inside(runs, &["list", "box:"])? {
        column.add(Figure::ListTenTls, millis(took));
    }
    Ok(())
}

fn time_list(
    contestant: &Contestant,
    runs: usize,
    column: &mut Column,
    figure: Figure,
) -> anyhow::Result<()> {
    std::thread::sleep(Duration::from_millis(500));
    for _ in 0..runs {
        column.add(figure, millis(contestant.timed(&["list"])?));
    }
    Ok(())
}

fn debian(contestant: &Contestant, runs: usize, column: &mut Column) -> anyhow::Result<()> {
    contestant.import(&rlxc_tests::image::debian()?, "debian")?;
    contestant.ok(&["launch", "debian", "w1"])?;
    contestant.ok(&["delete", "-f", "w1"])?;
    say(&format!("{}: {runs} rounds of Debian", contestant.name));
    for _ in 0..runs {
        std::thread::sleep(REST);
        let started = Instant::now();
        column.add(
            Figure::LaunchDebian,
            millis(contestant.timed(&["launch", "debian", "d1"])?),
        );
        until_running(contestant)?;
        column.add(Figure::DebianRunning, millis(started.elapsed()));
        contestant.ok(&["delete", "-f", "d1"])?;
        // Apart from the other: asking for one must not slow down the other.
        std::thread::sleep(REST);
        let started = Instant::now();
        contestant.ok(&["launch", "debian", "d1"])?;
        until_address(contestant, "d1")?;
        column.add(Figure::DebianAddress, millis(started.elapsed()));
        contestant.ok(&["delete", "-f", "d1"])?;
    }
    Ok(())
}

fn until_running(contestant: &Contestant) -> anyhow::Result<()> {
    let end = Instant::now() + DEBIAN_LIMIT;
    loop {
        let output = contestant
            .command(&[
                "exec",
                "d1",
                "--",
                "systemctl",
                "is-system-running",
                "--wait",
            ])
            .output()?;
        match output.stdout.trim() {
            "running" => return Ok(()),
            "" | "offline" | "initializing" | "starting" if Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(5));
            }
            other => bail!("Debian came up as `{other}`: {output}"),
        }
    }
}

/// Waits until an instance has an IPv4 address, which is returned.
pub(crate) fn until_address(contestant: &Contestant, name: &str) -> anyhow::Result<String> {
    let end = Instant::now() + DEBIAN_LIMIT;
    loop {
        let state = contestant.state(name)?;
        let addresses = state
            .pointer("/network/eth0/addresses")
            .and_then(|list| list.as_array());
        let global = addresses.into_iter().flatten().find_map(|one| {
            let wanted = one["family"] == "inet" && one["scope"] == "global";
            one["address"].as_str().filter(|_| wanted)
        });
        if let Some(address) = global {
            return Ok(address.to_owned());
        }
        if Instant::now() > end {
            bail!("`{name}` got no address: {state}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) fn millis(elapsed: Duration) -> f64 {
    elapsed.as_secs_f64() * 1000.0
}
