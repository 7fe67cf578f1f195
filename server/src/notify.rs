//! Tells systemd how far the daemon is; see sd_notify(3). Without systemd it does nothing.

use std::os::unix::net::UnixDatagram;

/// Sends one message, such as `READY=1`, to the socket that systemd named.
pub(crate) fn notify(message: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let sent = UnixDatagram::unbound().and_then(|socket| {
        match path.to_str().and_then(|path| path.strip_prefix('@')) {
            Some(name) => {
                use std::os::linux::net::SocketAddrExt as _;
                socket.send_to_addr(
                    message.as_bytes(),
                    &std::os::unix::net::SocketAddr::from_abstract_name(name)?,
                )
            }
            None => socket.send_to(message.as_bytes(), &path),
        }
    });
    if let Err(error) = sent {
        tracing::warn!(%error, "systemd could not be told `{message}`");
    }
}
