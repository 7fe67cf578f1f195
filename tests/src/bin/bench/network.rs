//! Networks: throughput through a bridge beside that of a plain veth pair between two namespaces, in turns, so that both see
//! the same machine; proxies; how soon an address is there; starts on a bridge that is full of NICs.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::contestant::Contestant;
use crate::cycle::{millis, until_address};
use crate::{memory, say};

/// Rest between two commands, so that what one leaves to the background is not counted for the next.
const REST: Duration = Duration::from_millis(250);
/// How many seconds each measurement of throughput takes.
const SECONDS: &str = "3";
/// NICs on one bridge, and in one instance.
const NICS: usize = 500;
const NICS_EACH: usize = 50;
/// Both ends of the plain pair, and its addresses.
const PLAIN: &str = "
    ip netns add plain-a && ip netns add plain-b
    ip -n plain-a link add plain0 type veth peer name plain0 netns plain-b
    ip -n plain-a address add 203.0.113.1/30 dev plain0
    ip -n plain-b address add 203.0.113.2/30 dev plain0
    ip -n plain-a link set plain0 up && ip -n plain-b link set plain0 up
    ip netns exec plain-b iperf3 -s -D";

/// What is compared with its aim.
struct Row {
    name: &'static str,
    value: f64,
    unit: &'static str,
    aim: Aim,
}

fn row(name: &'static str, value: f64, unit: &'static str, aim: Aim) -> Row {
    Row {
        name,
        value,
        unit,
        aim,
    }
}

const GIGABITS: &str = "Gbit/s";

enum Aim {
    AtLeast(f64),
    AtMost(f64),
    None,
}

/// Measures; a markdown table.
pub(crate) fn measure(contestant: &Contestant, runs: usize) -> anyhow::Result<String> {
    let tar = contestant.scratch().join("busybox-network.tar");
    std::fs::write(&tar, rlxc_tests::image::busybox()?)?;
    contestant.import(&[tar], "busybox-network")?;
    contestant.ok(&["launch", "busybox-network", "net"])?;
    let mut rows = throughput(contestant, runs.clamp(3, 9))?;
    contestant.ok(&["delete", "-f", "net"])?;
    rows.push(address(contestant, runs)?);
    rows.extend(crowd(contestant, runs)?);
    Ok(table(&rows))
}

fn throughput(contestant: &Contestant, runs: usize) -> anyhow::Result<Vec<Row>> {
    say(&format!("network: {runs} rounds of throughput"));
    let address = until_address(contestant, "net")?;
    let init = contestant.state("net")?["pid"].to_string();
    contestant.enter(["bash", "-ec", PLAIN]).ok()?;
    let serve = ["nsenter", "-t", &init, "-n", "iperf3", "-s", "-D"];
    contestant.enter(serve).ok()?;
    let proxy = ["config", "device", "add", "net", "bench", "proxy"];
    let keys = ["listen=tcp:127.0.0.1:5301", "connect=tcp:127.0.0.1:5201"];
    contestant.ok(&[&proxy[..], &keys].concat())?;
    let mut found: [Vec<f64>; 6] = Default::default();
    for _ in 0..runs {
        let rates = round(contestant, &address)?;
        for (samples, rate) in found.iter_mut().zip(rates) {
            samples.push(rate);
        }
    }
    let memory = memory::proxies(contestant.world_pid())?;
    let memory = memory.into_iter().reduce(f64::max);
    let memory = memory.context("the proxy has no process")?;
    let [plain, plain_back, bridge, bridge_back, proxy, proxy_back] = found.map(median);
    let share = "of the plain pair";
    Ok(vec![
        row("plain veth pair", plain, GIGABITS, Aim::None),
        row("plain veth pair, back", plain_back, GIGABITS, Aim::None),
        row(
            "host to instance, by the bridge",
            bridge,
            GIGABITS,
            Aim::None,
        ),
        row("instance to host", bridge_back, GIGABITS, Aim::None),
        row(
            "host to instance",
            bridge / plain,
            share,
            Aim::AtLeast(0.98),
        ),
        row(
            "instance to host",
            bridge_back / plain_back,
            share,
            Aim::AtLeast(0.98),
        ),
        row("proxy, one stream in", proxy, GIGABITS, Aim::AtLeast(12.0)),
        row(
            "proxy, one stream out",
            proxy_back,
            GIGABITS,
            Aim::AtLeast(12.0),
        ),
        row(
            "memory of a proxy after that",
            memory,
            "MiB",
            Aim::AtMost(1.0),
        ),
    ])
}

/// One turn of each: the plain pair, the bridge, a proxy, there and back.
fn round(contestant: &Contestant, address: &str) -> anyhow::Result<Vec<f64>> {
    let plain = ["ip", "netns", "exec", "plain-a"];
    // Where the scheduler puts the two ends matters more than what is between them; a proxy is a third. And a host's BBR sends
    // more than the kernel's queue between them takes (net.core.netdev_max_backlog): its losses would be measured.
    let apart = ["-A", "0,1", "-C", "cubic"];
    let pairs: [(&[&str], &str, &[&str]); 3] = [
        (&plain, "203.0.113.2", &apart),
        (&[], address, &apart),
        (&[], "127.0.0.1", &["-p", "5301"]),
    ];
    let mut rates = Vec::new();
    for (before, address, options) in pairs {
        for reverse in [None, Some("-R")] {
            let line = ["iperf3", "-J", "-t", SECONDS, "-O", "1", "-c", address];
            let line = before.iter().copied().chain(line);
            let line = line.chain(options.iter().copied()).chain(reverse);
            rates.push(gigabits(contestant, line)?);
        }
    }
    Ok(rates)
}

fn gigabits<'a>(
    contestant: &Contestant,
    line: impl Iterator<Item = &'a str>,
) -> anyhow::Result<f64> {
    let line: Vec<&str> = line.collect();
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let run = contestant.enter(line.iter().copied());
        let output = run.deadline(Duration::from_secs(30)).output()?.stdout;
        let report: serde_json::Value = serde_json::from_str(&output)?;
        let rate = report.pointer("/end/sum_received/bits_per_second");
        if let Some(rate) = rate.and_then(serde_json::Value::as_f64) {
            return Ok(rate / 1e9);
        }
        // The server serves one at a time, and takes a moment to be done with the one before.
        let is_busy = report["error"]
            .as_str()
            .is_some_and(|error| error.contains("busy"));
        ensure!(
            is_busy && Instant::now() < end,
            "iperf3 says no rate: {output}"
        );
        std::thread::sleep(REST);
    }
}

/// From the begin of a launch until the instance has an address, as its state says.
fn address(contestant: &Contestant, runs: usize) -> anyhow::Result<Row> {
    say(&format!("network: {runs} addresses"));
    let mut samples = Vec::new();
    for round in 0..=runs {
        std::thread::sleep(REST);
        let started = Instant::now();
        contestant.ok(&["launch", "busybox-network", "ad"])?;
        until_address(contestant, "ad")?;
        // The first unpacks the image.
        if round > 0 {
            samples.push(millis(started.elapsed()));
        }
        contestant.ok(&["delete", "-f", "ad"])?;
    }
    let name = "address of a busybox instance after launch begins";
    Ok(row(name, median(samples), "ms", Aim::AtMost(120.0)))
}

/// Starts of one instance on an empty bridge, and on a full one.
fn crowd(contestant: &Contestant, runs: usize) -> anyhow::Result<Vec<Row>> {
    contestant.ok(&["launch", "busybox-network", "one"])?;
    let alone = starts(contestant, runs)?;
    contestant.ok(&["profile", "create", "many"])?;
    for number in 0..NICS_EACH {
        let name = format!("nic{number}");
        let line = ["profile", "device", "add", "many", &name, "nic"];
        contestant.ok(&[&line[..], &["network=rlxcbr0"]].concat())?;
    }
    say(&format!("network: {NICS} NICs on one bridge"));
    let names: Vec<String> = (0..NICS / NICS_EACH).map(|n| format!("many{n}")).collect();
    for name in &names {
        contestant.ok(&[
            "launch",
            "busybox-network",
            name,
            "-p",
            "default",
            "-p",
            "many",
        ])?;
    }
    std::thread::sleep(Duration::from_secs(5));
    let among = starts(contestant, runs)?;
    for name in names.iter().map(String::as_str).chain(["one"]) {
        contestant.ok(&["delete", "-f", name])?;
    }
    let share = "of that on an empty bridge";
    Ok(vec![
        row("start on an empty bridge", alone, "ms", Aim::None),
        row("start on a bridge with 500 NICs", among, "ms", Aim::None),
        row(
            "start among 500 NICs",
            among / alone,
            share,
            Aim::AtMost(1.2),
        ),
    ])
}

fn starts(contestant: &Contestant, runs: usize) -> anyhow::Result<f64> {
    let mut samples = Vec::new();
    for _ in 0..runs {
        contestant.ok(&["stop", "-f", "one"])?;
        std::thread::sleep(REST);
        samples.push(millis(contestant.timed(&["start", "one"])?));
        std::thread::sleep(REST);
    }
    Ok(median(samples))
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}

fn table(rows: &[Row]) -> String {
    let mut text = String::from("| network, medians | | | aim |\n|---|---:|---|---:|\n");
    for Row {
        name,
        value,
        unit,
        aim,
    } in rows
    {
        let (limit, reached) = match aim {
            Aim::AtLeast(least) => (format!("≥ {least}"), value >= least),
            Aim::AtMost(most) => (format!("≤ {most}"), value <= most),
            Aim::None => ("–".to_owned(), true),
        };
        let verdict = if reached { "" } else { " **falls short**" };
        let _infallible = writeln!(text, "| {name} | {value:.2} | {unit} | {limit}{verdict} |");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_misses_its_aim_is_said_to_fall_short() {
        let row = |value, aim| row("x", value, "ms", aim);
        let text = table(&[row(121.0, Aim::AtMost(120.0)), row(1.0, Aim::AtLeast(0.98))]);
        assert!(
            text.contains("| x | 121.00 | ms | ≤ 120 **falls short** |"),
            "{text}"
        );
        assert!(text.contains("| x | 1.00 | ms | ≥ 0.98 |"), "{text}");
    }
}
