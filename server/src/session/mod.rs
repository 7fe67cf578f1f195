//! Exec and console: operations whose streams are websockets.
//!
//! ```text
//!  POST exec ─▶ operation with secrets ─▶ client connects its websockets ─▶ command starts ─▶ pumps ─▶ `return`
//! ```
//! The monitor holds the command, so it goes on when the daemon is restarted; only its streams end then.

mod console;
mod environment;
mod exec;
mod pipes;
mod record;
mod sockets;
mod terminal;

pub use console::{attach as attach_console, clear_log, log as console_log};
pub use exec::exec;
