//! Hosts of a network as files that dnsmasq watches (`dhcp-hostsdir`, `hostsdir`).
//!
//! A new file is read at once. dnsmasq keeps what it read from a file that has changed or gone since, until it gets a
//! SIGHUP: so one is sent then, and only then.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use rlxc_sys::file::{self, Durability};

use super::{Files, process};
use crate::{Error, Mac};

/// A host that the inventory knows, by its NIC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Its name, without a domain.
    pub name: String,
    /// The NIC; what a host is known by here.
    pub hwaddr: Mac,
    /// Fixed address; from the range otherwise.
    pub ipv4: Option<Ipv4Addr>,
    /// The same for IPv6, where DHCPv6 is stateful.
    pub ipv6: Option<Ipv6Addr>,
}

pub(super) fn set(files: &Files, host: &Host) -> Result<(), Error> {
    let name = file_name(host.hwaddr);
    for dir in [&files.dhcp, &files.hosts] {
        file::ensure_dir(dir, 0o755)?;
    }
    let mut stale = write(&files.dhcp.join(&name), &dhcp_line(host))?;
    let names = hosts_lines(host);
    let path = files.hosts.join(&name);
    stale |= if names.is_empty() {
        remove_file(&path)?
    } else {
        write(&path, &names)?
    };
    if stale {
        process::reload(&files.pid, &files.config)
    } else {
        Ok(())
    }
}

pub(super) fn remove(files: &Files, hwaddr: Mac) -> Result<(), Error> {
    let name = file_name(hwaddr);
    let stale = remove_file(&files.dhcp.join(&name))? | remove_file(&files.hosts.join(&name))?;
    if stale {
        process::reload(&files.pid, &files.config)
    } else {
        Ok(())
    }
}

/// All hosts that have a file; what is not named like one is somebody else's.
pub(super) fn list(files: &Files) -> Result<Vec<Mac>, Error> {
    let names = match file::list_dir(&files.dhcp) {
        Err(error) if error.is_not_found() => return Ok(Vec::new()),
        other => other?,
    };
    let address = |name: &std::ffi::OsString| parse_file_name(name.to_str()?);
    Ok(names.iter().filter_map(address).collect())
}

fn parse_file_name(name: &str) -> Option<Mac> {
    let pairs: Vec<&str> = (0..6)
        .map(|pair| name.get(2 * pair..2 * pair + 2))
        .collect::<Option<_>>()?;
    let hwaddr: Mac = pairs.join(":").parse().ok()?;
    (file_name(hwaddr) == name).then_some(hwaddr)
}

/// The Ethernet address without colons: dnsmasq skips names with some marks, and renames of instances don't matter.
fn file_name(hwaddr: Mac) -> String {
    hwaddr.to_string().replace(':', "")
}

/// See `dhcp-host` in dnsmasq(8).
fn dhcp_line(host: &Host) -> String {
    let ipv4 = host
        .ipv4
        .map(|address| format!(",{address}"))
        .unwrap_or_default();
    let ipv6 = host
        .ipv6
        .map(|address| format!(",[{address}]"))
        .unwrap_or_default();
    format!("{}{ipv4}{ipv6},{}\n", host.hwaddr, host.name)
}

/// As in hosts(5); the domain is added by dnsmasq.
fn hosts_lines(host: &Host) -> String {
    let fixed = host
        .ipv4
        .map(IpAddr::from)
        .into_iter()
        .chain(host.ipv6.map(IpAddr::from));
    fixed.fold(String::new(), |mut lines, address| {
        // Writing to a String cannot fail.
        let _ok = writeln!(lines, "{address} {}", host.name);
        lines
    })
}

/// Returns whether another content was there before.
fn write(path: &Path, text: &str) -> Result<bool, Error> {
    let before = file::read_text(path).ok();
    if before.as_deref() == Some(text) {
        return Ok(false);
    }
    file::write_atomic(path, text.as_bytes(), 0o644, Durability::Volatile)?;
    Ok(before.is_some())
}

/// Returns whether it was there.
fn remove_file(path: &Path) -> Result<bool, Error> {
    let was_there = path.exists();
    file::remove(path)?;
    Ok(was_there)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_entries() {
        let mut host = Host {
            name: "dev1".to_owned(),
            hwaddr: "00:16:3e:01:02:03".parse().unwrap(),
            ipv4: None,
            ipv6: None,
        };
        assert_eq!(dhcp_line(&host), "00:16:3e:01:02:03,dev1\n");
        assert_eq!(hosts_lines(&host), "");
        host.ipv4 = Some(Ipv4Addr::new(10, 1, 2, 3));
        host.ipv6 = Some("fd42::3".parse().unwrap());
        assert_eq!(
            dhcp_line(&host),
            "00:16:3e:01:02:03,10.1.2.3,[fd42::3],dev1\n"
        );
        assert_eq!(hosts_lines(&host), "10.1.2.3 dev1\nfd42::3 dev1\n");
        assert_eq!(file_name(host.hwaddr), "00163e010203");
    }

    #[test]
    fn what_is_set_is_listed_until_it_is_removed() {
        let base = tempfile::tempdir().unwrap();
        let dir = base.path().to_owned();
        let files = Files {
            config: dir.join("dnsmasq.conf"),
            leases: dir.join("run-leases"),
            saved: dir.join("leases"),
            log: dir.join("dnsmasq.log"),
            dhcp: dir.join("dhcp"),
            hosts: dir.join("hosts"),
            pid: dir.join("pid"),
            dir,
        };
        assert_eq!(list(&files).unwrap(), []);
        let hwaddr: Mac = "00:16:3e:0a:0b:0c".parse().unwrap();
        let host = Host {
            name: "c1".to_owned(),
            hwaddr,
            ipv4: None,
            ipv6: None,
        };
        set(&files, &host).unwrap();
        std::fs::write(files.dhcp.join("somebody"), "").unwrap();
        std::fs::write(files.dhcp.join("ääääääääääää"), "").unwrap();
        assert_eq!(list(&files).unwrap(), [hwaddr]);
        remove(&files, hwaddr).unwrap();
        assert_eq!(list(&files).unwrap(), []);
    }
}
