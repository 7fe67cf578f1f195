//! The one place that prints: results to stdout, all else to stderr.

use std::io::{self, IsTerminal, Write};

use anyhow::Result;

/// Prints.
#[derive(Debug, Clone)]
pub(crate) struct Printer {
    quiet: bool,
    colour: bool,
}

impl Printer {
    pub(crate) fn new(quiet: bool) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            quiet,
            colour: wanted && io::stderr().is_terminal(),
        }
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Prints to stdout as it is.
    pub(crate) fn print(&self, text: &str) -> Result<()> {
        self.bytes(text.as_bytes())
    }

    /// Prints a line to stdout.
    pub(crate) fn line(&self, text: &str) -> Result<()> {
        self.bytes(format!("{text}\n").as_bytes())
    }

    /// Prints bytes to stdout.
    #[expect(clippy::unused_self, reason = "all printing goes through a printer")]
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()?;
        Ok(())
    }

    /// Says what was done, on stdout; nothing with `--quiet`.
    pub(crate) fn done(&self, text: &str) -> Result<()> {
        if self.quiet { Ok(()) } else { self.line(text) }
    }

    /// Says something on the side, on stderr; nothing with `--quiet`.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            // Where stderr is gone, nobody is there to be told.
            writeln!(io::stderr(), "{text}").ok();
        }
    }

    /// Asks on stderr and reads a line.
    pub(crate) fn ask(&self, question: &str) -> Result<String> {
        let mut err = io::stderr().lock();
        write!(err, "{}{question}{} ", self.style("1"), self.style("0"))?;
        err.flush()?;
        let mut line = String::new();
        anyhow::ensure!(
            io::stdin().read_line(&mut line)? > 0,
            "no answer: stdin is at its end"
        );
        Ok(line.trim().to_owned())
    }

    /// An error, its causes and what helps.
    pub(crate) fn error(&self, error: &anyhow::Error, hints: &[String]) {
        let (bold, plain) = (self.style("1;31"), self.style("0"));
        let mut lines = vec![format!("{bold}error:{plain} {error}")];
        let mut last = error.to_string();
        for cause in error.chain().skip(1).map(ToString::to_string) {
            // Some libraries repeat their source.
            if !last.contains(&cause) {
                lines.push(format!("  caused by: {cause}"));
            }
            last = cause;
        }
        let bold = self.style("1;36");
        lines.extend(
            hints
                .iter()
                .map(|hint| format!("{bold}hint:{plain} {hint}")),
        );
        // Where stderr is gone, nobody is there to be told.
        writeln!(io::stderr(), "{}", lines.join("\n")).ok();
    }

    /// An escape sequence, where colours are wanted.
    pub(crate) fn style(&self, code: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m")
        } else {
            String::new()
        }
    }
}

/// Whether the reader of our output went away: then there is nothing to complain of.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
    }) && error
        .downcast_ref::<rlxc_client::ClientError>()
        .is_none_or(|error| {
            // The daemon going away is another matter.
            matches!(error, rlxc_client::ClientError::Io { .. })
        })
}
