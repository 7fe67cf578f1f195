//! Medians of whole commands, as a user types them, and the memory that stays: ours, beside LXD, Incus and plain LXC
//! where they are installed, each on a fresh directory in a world of its own. What misses its aim is printed as such.
#![forbid(unsafe_code)]

mod contestant;
mod cycle;
mod memory;
mod network;
mod plain;
mod report;
mod storage;
mod work;

use std::io::Write as _;

use anyhow::{Context as _, bail};
use rlxc_tests::process::Run;

/// What the command line asks for.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they mirror flags of the command line one by one"
)]
struct Options {
    runs: usize,
    json: Option<String>,
    debian: bool,
    alone: bool,
    cycle: bool,
    storage: bool,
    network: bool,
}

const USAGE: &str = "usage: rlxc-bench [--runs N] [--json FILE] [--no-debian] [--alone] \
    [--no-storage] [--no-network] [--only-storage | --only-network]";

/// The bench calls itself with this where only a process in a world can time a command: how often, and the command.
pub(crate) const TIMED: &str = "--timed";

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [first, runs, line @ ..] = args.as_slice()
        && first == TIMED
    {
        return print_times(runs.parse()?, line);
    }
    let options = parse(args.into_iter())?;
    if !rlxc_tests::is_root() {
        bail!("the bench makes containers: run it as root");
    }
    if options.cycle {
        cycle(&options)?;
    }
    if options.storage {
        show(&storage::measure(&contestant::rlxc()?, options.runs)?)?;
    }
    if options.network {
        show(&network::measure(&contestant::rlxc()?, options.runs)?)?;
    }
    Ok(())
}

fn print_times(runs: usize, line: &[String]) -> anyhow::Result<()> {
    let run = Run::new(line);
    for _ in 0..runs {
        show(&format!("{}\n", run.timed()?.as_micros()))?;
    }
    Ok(())
}

/// Ours beside others.
fn cycle(options: &Options) -> anyhow::Result<()> {
    let mut columns = vec![cycle::measure(&contestant::rlxc()?, options)?];
    if !options.alone {
        for rival in [contestant::lxd(), contestant::incus()] {
            match rival.and_then(|rival| cycle::measure(&rival, options)) {
                Ok(column) => columns.push(column),
                Err(error) => say(&format!("left out: {error:#}")),
            }
        }
        match plain::measure(options) {
            Ok(column) => columns.push(column),
            Err(error) => say(&format!("left out: {error:#}")),
        }
    }
    show(&report::table(&columns))?;
    if let Some(path) = &options.json {
        std::fs::write(path, report::json(&columns).to_string())
            .with_context(|| format!("write {path}"))?;
    }
    Ok(())
}

fn show(table: &str) -> anyhow::Result<()> {
    std::io::stdout().write_all(table.as_bytes())?;
    Ok(())
}

fn parse(args: impl Iterator<Item = String>) -> anyhow::Result<Options> {
    let mut options = Options {
        runs: 15,
        json: None,
        debian: true,
        alone: false,
        cycle: true,
        storage: true,
        network: true,
    };
    let mut args = args;
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--runs" => options.runs = args.next().context("--runs needs a number")?.parse()?,
            "--json" => options.json = Some(args.next().context("--json needs a file")?),
            "--no-debian" => options.debian = false,
            "--alone" => options.alone = true,
            "--no-storage" => options.storage = false,
            "--no-network" => options.network = false,
            "--only-storage" => (options.cycle, options.network) = (false, false),
            "--only-network" => (options.cycle, options.storage) = (false, false),
            _ => bail!(USAGE),
        }
    }
    Ok(options)
}

/// Tells what goes on, beside the table on stdout.
pub(crate) fn say(text: &str) {
    let _shown = writeln!(std::io::stderr(), "bench: {text}").is_ok();
}
