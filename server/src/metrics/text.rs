//! The text form of OpenMetrics 1.0: families one after the other, each with its type and help before its samples.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

/// Whether a figure only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It does, until the instance starts anew.
    Counter,
    /// It doesn't.
    Gauge,
}

/// Figures of one name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Family {
    /// Name of its samples; that of a counter ends in `_total`.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) help: &'static str,
}

/// Families and their samples, in the order of their names.
#[derive(Debug, Default)]
pub(super) struct Text(BTreeMap<&'static str, (Family, String)>);

impl Text {
    /// Adds a sample.
    pub(super) fn add(&mut self, family: &Family, labels: &[(&str, &str)], value: impl Display) {
        let (_, samples) = self
            .0
            .entry(family.name)
            .or_insert_with(|| (*family, String::new()));
        samples.push_str(family.name);
        for (at, (name, value)) in labels.iter().enumerate() {
            let before = if at == 0 { '{' } else { ',' };
            write!(samples, "{before}{name}=\"{}\"", escaped(value)).ok();
        }
        let after = if labels.is_empty() { "" } else { "}" };
        writeln!(samples, "{after} {value}").ok();
    }

    /// The whole.
    pub(super) fn finish(self) -> String {
        let mut text = String::new();
        for (family, samples) in self.0.into_values() {
            let (name, kind) = match family.kind {
                Kind::Counter => (family.name.trim_end_matches("_total"), "counter"),
                Kind::Gauge => (family.name, "gauge"),
            };
            writeln!(text, "# TYPE {name} {kind}\n# HELP {name} {}", family.help).ok();
            text.push_str(&samples);
        }
        text.push_str("# EOF\n");
        text
    }
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_stand_together_and_the_end_is_marked() {
        let procs = Family {
            name: "procs",
            kind: Kind::Gauge,
            help: "Processes",
        };
        let cpu = Family {
            name: "cpu_seconds_total",
            kind: Kind::Counter,
            help: "Time",
        };
        let mut text = Text::default();
        text.add(&procs, &[("name", "a\"\\\nb")], 3);
        text.add(&cpu, &[("name", "c1"), ("mode", "user")], 1.5);
        text.add(&procs, &[], 4);
        let expected = "# TYPE cpu_seconds counter\n# HELP cpu_seconds Time\ncpu_seconds_total{name=\"c1\",mode=\"user\"} 1.5\n\
             # TYPE procs gauge\n# HELP procs Processes\nprocs{name=\"a\\\"\\\\\\nb\"} 3\nprocs 4\n# EOF\n";
        assert_eq!(text.finish(), expected);
    }
}
