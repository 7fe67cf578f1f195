//! `top`: what instances use now, the busiest first.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rlxc_api::InstanceFull;
use rlxc_client::url;
use tokio::io::AsyncReadExt as _;

use crate::cli::{TopArgs, TopOrder};
use crate::context::Context;
use crate::render::{self, Table};
use crate::terminal::{self, RawMode};

/// The first look at a daemon without a terminal waits this long for a second.
const FIRST: Duration = Duration::from_millis(500);
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Processor time of an instance at some moment.
type Times = HashMap<(String, String), i64>;

/// A look at the instances.
#[derive(Debug)]
struct Look {
    at: Instant,
    instances: Vec<InstanceFull>,
}

impl Look {
    fn times(&self) -> Times {
        let used = |full: &InstanceFull| full.state.as_ref().map_or(0, |state| state.cpu.usage);
        self.instances
            .iter()
            .map(|full| (key(full), used(full)))
            .collect()
    }
}

fn key(full: &InstanceFull) -> (String, String) {
    (full.instance.project.clone(), full.instance.name.clone())
}

pub(crate) async fn run(context: &Context, args: &TopArgs) -> Result<()> {
    ensure!(
        args.delay >= 0.1 && args.delay <= 3600.0,
        "`--delay {}` is not between 0.1 and 3600 seconds",
        args.delay
    );
    let first = look(context, args).await?;
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        return watch(context, args, first).await;
    }
    tokio::time::sleep(FIRST).await;
    let second = look(context, args).await?;
    context
        .printer
        .print(&table(&first, &second, args.sort).compact())
}

async fn look(context: &Context, args: &TopArgs) -> Result<Look> {
    let mut path = url::with_query("/1.0/instances", "recursion", "2");
    if args.all_projects {
        path = url::with_query(&path, "all-projects", "true");
    }
    let mut instances: Vec<InstanceFull> = context.client.get(&path).await?;
    instances.retain(|full| full.state.as_ref().is_some_and(|state| state.pid > 0));
    Ok(Look {
        at: Instant::now(),
        instances,
    })
}

/// Shows one look after another until `q` or Ctrl-C is pressed.
async fn watch(context: &Context, args: &TopArgs, first: Look) -> Result<()> {
    let _raw = RawMode::enter()?;
    let (mut before, mut now) = (first, None::<Look>);
    let mut order = args.sort;
    let mut stdin = tokio::io::stdin();
    let mut pressed = [0_u8; 1];
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(args.delay));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            read = stdin.read(&mut pressed) => match (read?, pressed[0]) {
                (0, _) | (_, b'q' | 3) => break,
                (_, b'c') => order = TopOrder::Cpu,
                (_, b'm') => order = TopOrder::Memory,
                (_, b'd') => order = TopOrder::Disk,
                (_, b'n') => order = TopOrder::Name,
                _ => continue,
            },
            _ = ticks.tick() => {
                let new = look(context, args).await?;
                if let Some(last) = now.replace(new) {
                    before = last;
                }
            }
        }
        if let Some(now) = &now {
            show(context, &table(&before, now, order))?;
        }
    }
    context.printer.print(CLEAR)
}

/// As much as the terminal holds; in raw mode a line needs its return.
fn show(context: &Context, table: &Table) -> Result<()> {
    let (width, height) = terminal::size();
    let text = table.compact();
    let lines = text
        .lines()
        .take(usize::from(height.saturating_sub(1)))
        .map(|line| line.chars().take(usize::from(width)).collect::<String>());
    let screen: Vec<String> = lines.collect();
    context
        .printer
        .print(&format!("{CLEAR}{}\r\n", screen.join("\r\n")))
}

/// An instance in numbers.
struct Row<'a> {
    full: &'a InstanceFull,
    /// Tenths of a percent of one processor.
    cpu: i64,
    memory: i64,
    disk: i64,
}

fn table(before: &Look, now: &Look, order: TopOrder) -> Table {
    let elapsed = i64::try_from(now.at.duration_since(before.at).as_nanos())
        .unwrap_or(i64::MAX)
        .max(1);
    let times = before.times();
    let mut rows: Vec<Row<'_>> = now
        .instances
        .iter()
        .map(|full| row(full, &times, elapsed))
        .collect();
    rows.sort_by(|a, b| {
        let by_name = || key(a.full).cmp(&key(b.full));
        match order {
            TopOrder::Cpu => b.cpu.cmp(&a.cpu).then_with(by_name),
            TopOrder::Memory => b.memory.cmp(&a.memory).then_with(by_name),
            TopOrder::Disk => b.disk.cmp(&a.disk).then_with(by_name),
            TopOrder::Name => by_name(),
        }
    });
    let cells = rows.iter().map(cells).collect();
    Table::new(
        &[
            "NAME",
            "PROJECT",
            "CPU%",
            "CPU TIME",
            "MEMORY",
            "PROCESSES",
            "DISK",
        ],
        cells,
    )
}

fn row<'a>(full: &'a InstanceFull, times: &Times, elapsed: i64) -> Row<'a> {
    let Some(state) = &full.state else {
        return Row {
            full,
            cpu: 0,
            memory: 0,
            disk: 0,
        };
    };
    // One that was not there before, or was restarted, has used nothing in between that we know of.
    let since = times
        .get(&key(full))
        .map_or(0, |then| state.cpu.usage - then)
        .max(0);
    Row {
        full,
        cpu: since.saturating_mul(1000) / elapsed,
        memory: state.memory.usage,
        disk: state.disk.get("root").map_or(0, |root| root.usage),
    }
}

fn cells(row: &Row<'_>) -> Vec<String> {
    let state = row.full.state.as_ref();
    let seconds = state.map_or(0, |state| state.cpu.usage / 1_000_000_000);
    vec![
        row.full.instance.name.clone(),
        row.full.instance.project.clone(),
        format!("{}.{}", row.cpu / 10, row.cpu % 10),
        format!("{seconds}s"),
        render::bytes(row.memory),
        state.map_or(0, |state| state.processes).to_string(),
        render::bytes(row.disk),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use rlxc_api::InstanceState;

    fn look(at: Instant, used: &[(&str, i64, i64)]) -> Look {
        let instances = used.iter().map(|(name, cpu, memory)| {
            let mut state = InstanceState {
                pid: 1,
                ..Default::default()
            };
            (state.cpu.usage, state.memory.usage) = (cpu * 1_000_000, *memory);
            let mut full = InstanceFull {
                state: Some(state),
                ..Default::default()
            };
            full.instance.name = (*name).to_owned();
            full
        });
        Look {
            at,
            instances: instances.collect(),
        }
    }

    #[test]
    fn the_busiest_come_first_and_new_ones_have_used_nothing() {
        let start = Instant::now();
        let before = look(start, &[("calm", 100, 1 << 20), ("busy", 0, 1 << 10)]);
        let after = [
            ("calm", 150, 1 << 20),
            ("busy", 1500, 1 << 10),
            ("new", 9000, 0),
        ];
        let now = look(start + Duration::from_secs(1), &after);
        let first = |order| {
            table(&before, &now, order)
                .csv()
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned()
        };
        assert!(
            first(TopOrder::Cpu).starts_with("busy,,150.0,1s,"),
            "{}",
            first(TopOrder::Cpu)
        );
        assert!(first(TopOrder::Memory).starts_with("calm,,5.0,"));
        assert!(first(TopOrder::Name).starts_with("busy,"));
    }
}
