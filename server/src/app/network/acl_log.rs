//! What the rules of an ACL wrote to the kernel's log, as lines of JSON in LXD's words.
//!
//! The kernel keeps the newest messages of all in a ring, see Documentation/ABI/testing/dev-kmsg; how the packet filter writes
//! them is in net/netfilter/nf_log_syslog.c. It writes none for network namespaces other than the host's own, unless
//! `net.netfilter.nf_log_all_netns` is set.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;

use jiff::{SignedDuration, Timestamp};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use super::acl;
use crate::clock;
use crate::context::{App, blocking};
use crate::error::{Error, Result};
use crate::plan::acl::log_name;

/// Longer than any message.
const LONGEST: usize = 8192;

/// A packet that a rule was about.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Entry<'a> {
    time: String,
    action: &'a str,
    #[serde(rename = "in", skip_serializing_if = "str::is_empty")]
    input: &'a str,
    #[serde(rename = "out", skip_serializing_if = "str::is_empty")]
    output: &'a str,
    proto: String,
    src: &'a str,
    dst: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    src_port: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    dst_port: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    icmp_type: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    icmp_code: &'a str,
}

/// The log of an ACL, the oldest first.
pub async fn read(app: &App, project: &str, name: &str) -> Result<String> {
    let acl = acl::find(app, project, name).await?;
    let messages = blocking(read_kernel)
        .await
        .map_err(|error| Error::failed("read the kernel's log", error))?;
    let begin = clock_gettime(ClockId::Monotonic);
    let up = SignedDuration::new(begin.tv_sec, i32::try_from(begin.tv_nsec).unwrap_or(0));
    let boot = Timestamp::now() - up;
    let mut text = String::new();
    for message in &messages {
        let entry = parse(message, |action| log_name(&acl.name, action, acl.id), boot);
        if let Some(line) = entry.and_then(|entry| serde_json::to_string(&entry).ok()) {
            text.extend([line.as_str(), "\n"]);
        }
    }
    Ok(text)
}

/// All messages that the kernel still has.
fn read_kernel() -> io::Result<Vec<String>> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let mut log = File::options()
        .read(true)
        .custom_flags(flags)
        .open("/dev/kmsg")?;
    let mut buffer = vec![0; LONGEST];
    let mut messages = Vec::new();
    loop {
        match log.read(&mut buffer) {
            Ok(0) => return Ok(messages),
            Ok(length) => messages.push(String::from_utf8_lossy(&buffer[..length]).into_owned()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(messages),
            // What came next has been overwritten meanwhile: on with what is there.
            Err(error) if error.raw_os_error() == Some(Errno::PIPE.raw_os_error()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A message `LEVEL,NUMBER,MICROSECONDS,…;TEXT`, if its text begins as that of a rule.
fn parse(message: &str, begins: impl Fn(&str) -> String, boot: Timestamp) -> Option<Entry<'_>> {
    let (head, text) = message.split_once(';')?;
    let text = text.lines().next()?;
    let action = text.split(' ').nth(1)?;
    let packet = text.strip_prefix(&begins(action))?.strip_prefix(' ')?;
    let micros: i64 = head.split(',').nth(2)?.parse().ok()?;
    // An ICMP error has the packet that it is about in brackets, with the same fields.
    let words = packet.split('[').next()?.split(' ');
    let value = |key: &str| {
        let mut words = words.clone();
        let found = words.find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        found.unwrap_or_default()
    };
    Some(Entry {
        time: clock::format(boot + SignedDuration::from_micros(micros)),
        action,
        input: value("IN"),
        output: value("OUT"),
        proto: value("PROTO").to_lowercase(),
        src: value("SRC"),
        dst: value("DST"),
        src_port: value("SPT"),
        dst_port: value("DPT"),
        icmp_type: value("TYPE"),
        icmp_code: value("CODE"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(message: &str) -> Option<String> {
        let begins = |action: &str| log_name("web", action, 7);
        let entry = parse(message, begins, Timestamp::UNIX_EPOCH)?;
        serde_json::to_string(&entry).ok()
    }

    #[test]
    fn the_kernels_words_become_lxds() {
        let tcp = "4,1,2500000,-;web drop acl7 IN=rlxcbr0 OUT= MAC=00:16 SRC=10.1.2.3 DST=10.1.2.1 LEN=60 TTL=64 PROTO=TCP SPT=40000 DPT=22 SYN URGP=0\n SUBSYSTEM=net\n";
        assert_eq!(
            line(tcp).unwrap(),
            r#"{"time":"1970-01-01T00:00:02.500000Z","action":"drop","in":"rlxcbr0","proto":"tcp","src":"10.1.2.3","dst":"10.1.2.1","src_port":"40000","dst_port":"22"}"#
        );
        let icmp = "4,1,0,-;web allow acl7 IN= OUT=br0 SRC=10.1.2.1 DST=10.1.2.3 PROTO=ICMP TYPE=3 CODE=1 [SRC=1.1.1.1 DST=2.2.2.2 PROTO=UDP SPT=1 DPT=2 ]";
        let icmp = line(icmp).unwrap();
        assert!(
            icmp.contains(r#""icmp_type":"3","icmp_code":"1""#),
            "{icmp}"
        );
        assert!(!icmp.contains("port"), "{icmp}");
    }

    #[test]
    fn only_what_the_acl_itself_wrote_counts() {
        for other in [
            "4,1,0,-;web drop acl8 IN=a SRC=1.1.1.1",
            "4,1,0,-;web2 drop acl7 IN=a SRC=1.1.1.1",
            "4,1,0,-;x web drop acl7 IN=a",
            "6,2,0,-;loop0: detected capacity change",
            "web drop acl7 IN=a",
        ] {
            assert_eq!(line(other), None, "{other}");
        }
    }
}
