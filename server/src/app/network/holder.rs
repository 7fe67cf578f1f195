//! Who listens on a port of the host, as far as `/proc` tells; see proc_net(5).

use std::net::SocketAddr;

use rlxc_container::proxy::Endpoint;

/// `EADDRINUSE`.
pub(super) const ADDRESS_IN_USE: i32 = 98;
/// The state `TCP_LISTEN` of net/tcp_states.h.
const LISTEN: &str = "0A";

/// The first process that holds one of these, with its id.
pub(super) fn find<'a>(mut listened: impl Iterator<Item = &'a Endpoint>) -> Option<String> {
    listened.find_map(|endpoint| {
        let inode = match endpoint {
            Endpoint::Tcp(address) => inode_of("tcp", address),
            Endpoint::Udp(address) => inode_of("udp", address),
            Endpoint::Unix(_) | Endpoint::Abstract(_) => None,
        };
        owner(&inode?)
    })
}

fn inode_of(protocol: &str, address: &SocketAddr) -> Option<String> {
    [protocol.to_owned(), format!("{protocol}6")]
        .into_iter()
        .find_map(|file| {
            let text = std::fs::read_to_string(format!("/proc/net/{file}")).ok()?;
            find_line(&text, protocol == "tcp", address.port())
        })
}

/// The inode of the socket in the table that is bound to a port.
fn find_line(text: &str, listens: bool, port: u16) -> Option<String> {
    text.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let bound = u16::from_str_radix(fields.get(1)?.rsplit(':').next()?, 16).ok()?;
        let fits = bound == port && (!listens || fields.get(3) == Some(&LISTEN));
        fits.then(|| fields.get(9).map(|inode| (*inode).to_owned()))?
    })
}

fn owner(inode: &str) -> Option<String> {
    let wanted = format!("socket:[{inode}]");
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    processes
        .filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok())
        .find(|entry| {
            let open = std::fs::read_dir(entry.path().join("fd"));
            open.into_iter().flatten().flatten().any(|fd| {
                std::fs::read_link(fd.path()).is_ok_and(|link| link.as_os_str() == wanted.as_str())
            })
        })
        .map(|entry| {
            let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            format!(
                "`{}` (process {})",
                name.trim(),
                entry.file_name().to_string_lossy()
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_this_process() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let who = find([Endpoint::Tcp(address)].iter()).unwrap();
        assert!(who.contains(&std::process::id().to_string()), "{who}");
        drop(listener);
        assert_eq!(find([Endpoint::Tcp(address)].iter()), None);
    }
}
