//! The table: medians side by side, the aim of each figure, and whether it is met.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Figure {
    LaunchBusybox,
    LaunchDebian,
    DebianAddress,
    DebianRunning,
    Start,
    Exec,
    ExecOut,
    ExecIn,
    ForcedStop,
    DeleteRunning,
    ListOne,
    ListTen,
    ListTenTls,
    DaemonMemory,
    DaemonMemoryAfter,
    MonitorMemory,
    CpuWork,
    CallWork,
    ForkWork,
    BesideBomb,
}

use Figure as F;

/// Each figure, its name, its unit and the aim that it must not exceed.
const ROWS: [(Figure, &str, &str, Option<f64>); 20] = [
    (F::LaunchBusybox, "launch, busybox", "ms", Some(20.0)),
    (F::LaunchDebian, "launch, Debian", "ms", Some(20.0)),
    (
        F::DebianAddress,
        "launch to IPv4 address, Debian",
        "ms",
        None,
    ),
    (
        F::DebianRunning,
        "launch to `running`, Debian",
        "ms",
        Some(521.0),
    ),
    (F::Start, "start of a stopped one", "ms", Some(17.0)),
    (F::Exec, "exec -- true", "ms", Some(5.0)),
    // At 1 GiB/s at least.
    (F::ExecOut, "1 GiB out of it by exec", "ms", Some(1000.0)),
    (F::ExecIn, "1 GiB into it by exec", "ms", Some(1000.0)),
    (F::ForcedStop, "forced stop", "ms", Some(16.0)),
    (
        F::DeleteRunning,
        "delete of a running one",
        "ms",
        Some(22.0),
    ),
    (F::ListOne, "list of one", "ms", Some(5.0)),
    (F::ListTen, "list of ten", "ms", Some(5.0)),
    (F::ListTenTls, "list of ten, over TLS", "ms", Some(15.0)),
    (
        F::DaemonMemory,
        "daemon, resident, fresh",
        "MiB",
        Some(30.0),
    ),
    (
        F::DaemonMemoryAfter,
        "daemon, resident, after all this",
        "MiB",
        None,
    ),
    (F::MonitorMemory, "monitor, private", "MiB", Some(0.5)),
    // What is done inside in a time must be 0.99, and 0.95, of what is done outside.
    (
        F::CpuWork,
        "work of processors, inside ÷ outside",
        "×",
        Some(1.0101),
    ),
    (
        F::CallWork,
        "system calls, inside ÷ outside",
        "×",
        Some(1.0526),
    ),
    (
        F::ForkWork,
        "fork and exec, inside ÷ outside",
        "×",
        Some(1.0526),
    ),
    (
        F::BesideBomb,
        "fork and exec at p99 beside a memory bomb ÷ without",
        "×",
        Some(1.1),
    ),
];

/// The samples of one contestant.
#[derive(Debug)]
pub(crate) struct Column {
    name: String,
    samples: BTreeMap<Figure, Vec<f64>>,
}

impl Column {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            samples: BTreeMap::new(),
        }
    }

    pub(crate) fn add(&mut self, figure: Figure, value: f64) {
        self.samples.entry(figure).or_default().push(value);
    }

    fn median(&self, figure: Figure) -> Option<f64> {
        let mut sorted = self.samples.get(&figure)?.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        if sorted.len() % 2 == 1 {
            sorted.get(middle).copied()
        } else {
            Some(f64::midpoint(
                *sorted.get(middle.checked_sub(1)?)?,
                *sorted.get(middle)?,
            ))
        }
    }
}

/// A markdown table; the first column is ours and is held against the aims.
pub(crate) fn table(columns: &[Column]) -> String {
    let mut text = String::from("| median |");
    let mut rule = String::from("|---|");
    for column in columns {
        let _infallible = write!(text, " {} |", column.name);
        rule.push_str("---:|");
    }
    text.push_str(" aim | |\n");
    text.push_str(&rule);
    text.push_str("---:|---|\n");
    for (figure, name, unit, aim) in ROWS {
        let _infallible = write!(text, "| {name} |");
        for column in columns {
            let cell = column
                .median(figure)
                .map_or_else(|| "–".to_owned(), |value| render(value, unit));
            let _infallible = write!(text, " {cell} |");
        }
        let ours = columns.first().and_then(|column| column.median(figure));
        let limit = aim.map_or_else(|| "–".to_owned(), |aim| format!("≤ {}", render(aim, unit)));
        let _infallible = writeln!(text, " {limit} | {} |", verdict(ours, aim));
    }
    text
}

fn verdict(ours: Option<f64>, aim: Option<f64>) -> &'static str {
    match (ours, aim) {
        (Some(ours), Some(aim)) if ours <= aim => "met",
        (Some(_), Some(_)) => "**falls short**",
        (None, Some(_)) => "not measured",
        (_, None) => "",
    }
}

fn render(value: f64, unit: &str) -> String {
    if unit == "×" {
        format!("{value:.3} {unit}")
    } else if unit == "MiB" && value < 10.0 {
        format!("{value:.2} {unit}")
    } else if value < 100.0 {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

/// Every sample, for machines.
pub(crate) fn json(columns: &[Column]) -> serde_json::Value {
    let render = |column: &Column| {
        let samples: serde_json::Map<String, serde_json::Value> = ROWS
            .iter()
            .filter_map(|(figure, name, unit, aim)| {
                let samples = column.samples.get(figure)?;
                let median = column.median(*figure);
                let value = serde_json::json!({ "unit": unit, "median": median, "aim": aim, "samples": samples });
                Some(((*name).to_owned(), value))
            })
            .collect();
        serde_json::json!({ "name": column.name, "figures": samples })
    };
    columns.iter().map(render).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_beyond_its_aim_is_said_to_fall_short() {
        let mut column = Column::new("rlxc");
        for value in [19.0, 18.0, 400.0] {
            column.add(F::LaunchBusybox, value);
        }
        column.add(F::Exec, 9.0);
        let text = table(&[column]);
        assert!(
            text.contains("| launch, busybox | 19.0 ms | ≤ 20.0 ms | met |"),
            "{text}"
        );
        assert!(
            text.contains("| exec -- true | 9.0 ms | ≤ 5.0 ms | **falls short** |"),
            "{text}"
        );
    }
}
