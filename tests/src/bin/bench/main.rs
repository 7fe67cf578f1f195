//! Medians of whole commands, as a user types them, and the memory that stays: ours, beside LXD, Incus and plain LXC
//! where they are installed, each on a fresh directory in a world of its own. What misses its aim is printed as such.
#![forbid(unsafe_code)]

mod contestant;
mod cycle;
mod memory;
mod plain;
mod report;
mod storage;
mod work;

use std::io::Write as _;

use anyhow::{Context as _, bail};

/// What the command line asks for.
#[derive(Debug)]
struct Options {
    runs: usize,
    json: Option<String>,
    debian: bool,
    alone: bool,
    storage: Storage,
}

/// Whether storage is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Storage {
    /// No.
    Not,
    /// After all the rest.
    Too,
    /// Nothing else.
    Only,
}

fn main() -> anyhow::Result<()> {
    let options = parse(std::env::args().skip(1))?;
    if !rlxc_tests::is_root() {
        bail!("the bench makes containers: run it as root");
    }
    if options.storage == Storage::Only {
        return storage(&options);
    }
    let mut columns = vec![cycle::measure(&contestant::rlxc()?, &options)?];
    if !options.alone {
        for rival in [contestant::lxd(), contestant::incus()] {
            match rival.and_then(|rival| cycle::measure(&rival, &options)) {
                Ok(column) => columns.push(column),
                Err(error) => say(&format!("left out: {error:#}")),
            }
        }
        match plain::measure(&options) {
            Ok(column) => columns.push(column),
            Err(error) => say(&format!("left out: {error:#}")),
        }
    }
    let table = report::table(&columns);
    std::io::stdout().write_all(table.as_bytes())?;
    if options.storage == Storage::Too {
        storage(&options)?;
    }
    if let Some(path) = &options.json {
        std::fs::write(path, report::json(&columns).to_string())
            .with_context(|| format!("write {path}"))?;
    }
    Ok(())
}

fn storage(options: &Options) -> anyhow::Result<()> {
    let table = storage::measure(&contestant::rlxc()?, options.runs)?;
    std::io::stdout().write_all(table.as_bytes())?;
    Ok(())
}

fn parse(args: impl Iterator<Item = String>) -> anyhow::Result<Options> {
    let mut options = Options {
        runs: 15,
        json: None,
        debian: true,
        alone: false,
        storage: Storage::Too,
    };
    let mut args = args;
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--runs" => options.runs = args.next().context("--runs needs a number")?.parse()?,
            "--json" => options.json = Some(args.next().context("--json needs a file")?),
            "--no-debian" => options.debian = false,
            "--alone" => options.alone = true,
            "--no-storage" => options.storage = Storage::Not,
            "--only-storage" => options.storage = Storage::Only,
            _ => bail!(
                "usage: rlxc-bench [--runs N] [--json FILE] [--no-debian] [--alone] [--no-storage | --only-storage]"
            ),
        }
    }
    Ok(options)
}

/// Tells what goes on, beside the table on stdout.
pub(crate) fn say(text: &str) {
    let _shown = writeln!(std::io::stderr(), "bench: {text}").is_ok();
}
