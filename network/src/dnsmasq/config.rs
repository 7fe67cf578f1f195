//! dnsmasq's configuration file; pure. Each line is an option of dnsmasq(8) without its dashes.

use std::fmt::Write as _;
use std::path::Path;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{Files, reverse};
use crate::{BridgeSpec, DnsMode, ipam};

/// LXD's default too.
const DEFAULT_EXPIRY: &str = "1h";
/// dnsmasq's own limit of 1,000 leases is below what a host can run.
const MAX_LEASES: u32 = 65_536;

/// What the host adds to the spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    /// Whom dnsmasq becomes after it has bound its ports.
    pub(super) user: String,
    /// Index of the bridge: sockets are bound to it, so a bridge that was made anew needs a new dnsmasq.
    pub(super) index: u32,
}

/// The argument by which our dnsmasq is known in the list of processes.
pub(super) fn file_argument(config: &Path) -> std::ffi::OsString {
    let mut argument = std::ffi::OsString::from("--conf-file=");
    argument.push(config);
    argument
}

/// The first unprivileged user of the usual ones that `passwd` has.
pub(super) fn choose_user(passwd: &str) -> String {
    ["dnsmasq", "_dnsmasq", "nobody"]
        .into_iter()
        .find(|user| {
            passwd
                .lines()
                .any(|line| line.split(':').next() == Some(user))
        })
        .unwrap_or("root")
        .to_owned()
}

pub(super) fn render(spec: &BridgeSpec, files: &Files, settings: &Settings) -> String {
    let mut text = format!(
        "# Written by rlxcd for interface {}; use the key raw.dnsmasq.\n",
        settings.index
    );
    general(&mut text, spec, files, settings);
    dns(&mut text, spec, files);
    dhcp(&mut text, files);
    if let Some(net) = spec.ipv4.filter(|_| spec.ipv4_dhcp) {
        dhcpv4(&mut text, spec, net);
    }
    if let Some(net) = spec.ipv6 {
        dhcpv6(&mut text, spec, net);
    }
    if let Some(raw) = &spec.raw_dnsmasq {
        line(&mut text, raw.trim_end());
    }
    text
}

fn line(text: &mut String, line: impl std::fmt::Display) {
    // Writing to a String cannot fail.
    let _ok = writeln!(text, "{line}");
}

fn general(text: &mut String, spec: &BridgeSpec, files: &Files, settings: &Settings) {
    line(text, format_args!("interface={}", spec.name));
    line(text, "except-interface=lo");
    line(text, "bind-interfaces");
    line(text, format_args!("user={}", settings.user));
    line(text, format_args!("pid-file={}", files.pid.display()));
    line(text, format_args!("log-facility={}", files.log.display()));
    for quiet in ["quiet-dhcp", "quiet-dhcp6", "quiet-ra"] {
        line(text, quiet);
    }
}

fn dns(text: &mut String, spec: &BridgeSpec, files: &Files) {
    if spec.dns_mode == DnsMode::None {
        return line(text, "port=0");
    }
    let domain = spec.domain();
    line(text, format_args!("domain={domain}"));
    line(text, format_args!("local=/{domain}/"));
    // Nobody else knows the names of the subnets' addresses: nobody else is asked.
    let ipv4 = spec.ipv4.map(IpNet::from);
    for net in ipv4.into_iter().chain(spec.ipv6.map(IpNet::from)) {
        for zone in reverse::zones(net) {
            line(text, format_args!("local=/{zone}/"));
        }
    }
    line(text, "expand-hosts");
    // The host's own /etc/hosts is none of the instances' business.
    line(text, "no-hosts");
    line(text, format_args!("hostsdir={}", files.hosts.display()));
    if spec.dns_mode == DnsMode::Managed {
        // Names that clients claim; those of our hosts stand.
        line(text, "dhcp-ignore-names");
    }
}

/// What both families of DHCP share.
fn dhcp(text: &mut String, files: &Files) {
    line(text, "dhcp-authoritative");
    line(text, "dhcp-rapid-commit");
    line(text, format_args!("dhcp-lease-max={MAX_LEASES}"));
    line(
        text,
        format_args!("dhcp-leasefile={}", files.leases.display()),
    );
    line(text, format_args!("dhcp-hostsdir={}", files.dhcp.display()));
}

fn dhcpv4(text: &mut String, spec: &BridgeSpec, net: Ipv4Net) {
    line(text, "dhcp-no-override");
    // An offered address is pinged for three seconds otherwise; leases and hosts tell what is taken.
    line(text, "no-ping");
    let expiry = spec.dhcp_expiry.as_deref().unwrap_or(DEFAULT_EXPIRY);
    let ranges = if spec.ipv4_dhcp_ranges.is_empty() {
        ipam::dhcp_ranges(net)
    } else {
        spec.ipv4_dhcp_ranges.clone()
    };
    for (first, last) in ranges {
        line(
            text,
            format_args!("dhcp-range={first},{last},{},{expiry}", net.netmask()),
        );
    }
    if let Some(mtu) = spec.mtu {
        line(text, format_args!("dhcp-option-force=option:mtu,{mtu}"));
    }
}

fn dhcpv6(text: &mut String, spec: &BridgeSpec, net: Ipv6Net) {
    line(text, "enable-ra");
    if let Some(mtu) = spec.mtu {
        line(text, format_args!("ra-param={},mtu:{mtu},0", spec.name));
    }
    let (bridge, length) = (&spec.name, net.prefix_len());
    if !spec.ipv6_dhcp {
        return line(
            text,
            format_args!("dhcp-range=::,constructor:{bridge},ra-only"),
        );
    }
    if spec.gives_ipv6() {
        let expiry = spec.dhcp_expiry.as_deref().unwrap_or(DEFAULT_EXPIRY);
        let first = u128::from(net.network()) + 2;
        let last = net.broadcast();
        line(
            text,
            format_args!(
                "dhcp-range={},{last},{length},{expiry}",
                std::net::Ipv6Addr::from(first)
            ),
        );
    } else {
        let names = if spec.dns_mode == DnsMode::None {
            ""
        } else {
            ",ra-names"
        };
        line(
            text,
            format_args!("dhcp-range=::,constructor:{bridge},ra-stateless{names}"),
        );
    }
}
