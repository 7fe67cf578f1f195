//! Connections over the network: small messages go at once, and who has gone without a word is noticed.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::net::sockopt;

/// Silence until the kernel asks whether the other side is still there, and between questions.
const IDLE: Duration = Duration::from_secs(60);
const INTERVAL: Duration = Duration::from_secs(15);
/// Questions without an answer until the connection is over.
const QUESTIONS: u32 = 4;

/// Prepares a connected socket. `TCP_USER_TIMEOUT` would also end the connection of who only reads slowly.
pub(crate) fn tune(stream: &impl AsFd) -> io::Result<()> {
    sockopt::set_tcp_nodelay(stream, true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, IDLE)?;
    sockopt::set_tcp_keepintvl(stream, INTERVAL)?;
    sockopt::set_tcp_keepcnt(stream, QUESTIONS)?;
    Ok(())
}
