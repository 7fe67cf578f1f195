//! Progress of what takes time, on stderr.

use std::cell::RefCell;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use rlxc_api::Operation;

/// Progress of one thing: a line that changes on a terminal, else a line for each stage.
#[derive(Debug)]
pub(crate) struct Progress {
    label: String,
    bar: Option<ProgressBar>,
    plain: bool,
    last: RefCell<String>,
}

impl Progress {
    pub(crate) fn new(label: &str, quiet: bool) -> Self {
        Self {
            label: label.to_owned(),
            bar: (!quiet && std::io::stderr().is_terminal()).then(spinner),
            plain: !quiet,
            last: RefCell::default(),
        }
    }

    /// Shows what an operation says of its progress.
    pub(crate) fn show(&self, operation: &Operation) {
        match (operation.progress(), &self.bar) {
            (Some(text), _) => self.note(text),
            (None, Some(bar)) => draw(bar, &self.label),
            (None, None) => {}
        }
    }

    pub(crate) fn note(&self, text: &str) {
        if let Some(bar) = &self.bar {
            draw(bar, &format!("{}: {text}", self.label));
        } else if self.plain {
            // A log wants stages, not each percent or package of them.
            let stage = text
                .split_whitespace()
                .next()
                .unwrap_or_default()
                .to_owned();
            if *self.last.borrow() != stage {
                writeln!(std::io::stderr(), "{}: {text}", self.label).ok();
                self.last.replace(stage);
            }
        }
    }

    pub(crate) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn spinner() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}") {
        bar.set_style(style);
    }
    bar
}

/// Quick commands never get here, so they never draw.
fn draw(bar: &ProgressBar, message: &str) {
    bar.set_message(message.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
}

/// Progress of an upload or a download of this process.
#[derive(Debug, Clone)]
pub(crate) struct Transfer(Option<ProgressBar>);

impl Transfer {
    pub(crate) fn new(label: &str, quiet: bool) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::no_length();
            let template =
                "{msg} {wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.set_message(label.to_owned());
            bar
        });
        Self(bar)
    }

    pub(crate) fn set(&self, done: u64, total: u64) {
        if let Some(bar) = &self.0 {
            if total > 0 {
                bar.set_length(total);
            }
            bar.set_position(done);
        }
    }

    pub(crate) fn end(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
