//! The terminal: raw mode that never outlives us, and its size.

use std::io;

use rustix::termios::{self, OptionalActions, Termios};

/// Raw mode, until it is dropped: on return, on error, on panic.
#[derive(Debug)]
pub(crate) struct RawMode {
    saved: Termios,
}

impl RawMode {
    pub(crate) fn enter() -> io::Result<Self> {
        let saved = termios::tcgetattr(io::stdin())?;
        let mut raw = saved.clone();
        raw.make_raw();
        termios::tcsetattr(io::stdin(), OptionalActions::Drain, &raw)?;
        Ok(Self { saved })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // A terminal that is gone needs no mode.
        termios::tcsetattr(io::stdin(), OptionalActions::Drain, &self.saved).ok();
    }
}

/// Columns and rows; 80 by 24 where stdout is no terminal.
pub(crate) fn size() -> (u16, u16) {
    termios::tcgetwinsize(io::stdout())
        .or_else(|_| termios::tcgetwinsize(io::stdin()))
        .ok()
        .filter(|size| size.ws_col > 0 && size.ws_row > 0)
        .map_or((80, 24), |size| (size.ws_col, size.ws_row))
}
