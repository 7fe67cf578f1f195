//! Judges which programs of the host are there. Pure.

use rlxc_api::{DoctorFinding, Severity};

use super::facts::Facts;
use super::finding::{Described as _, check, fine, flaw};

/// A program, how bad its absence is, what is lost without it, and the package of Debian and Ubuntu that has it.
pub(super) const WANTED: [(&str, Severity, &str, &str); 4] = [
    (
        "nft",
        Severity::Warning,
        "no NAT and no filtering for managed networks: instances don't reach the outside",
        "nftables",
    ),
    (
        "dnsmasq",
        Severity::Warning,
        "no DHCP and no DNS on managed networks: instances get no address",
        "dnsmasq-base",
    ),
    (
        "unsquashfs",
        Severity::Warning,
        "images with a squashfs root can't be unpacked, which most servers prefer",
        "squashfs-tools",
    ),
    (
        "mmdebstrap",
        Severity::Notice,
        "`rlxc image build` doesn't work",
        "mmdebstrap",
    ),
];

/// Devices that instances can be given, and who needs them.
pub(super) const DEVICES: [(&str, &str); 2] = [("fuse", "FUSE file systems"), ("net/tun", "VPNs")];

pub(super) fn judge(facts: &Facts) -> Vec<DoctorFinding> {
    let mut findings: Vec<_> = WANTED
        .iter()
        .filter(|(name, ..)| !facts.tools.contains(*name))
        .map(|(name, severity, cost, package)| {
            flaw(
                *severity,
                &format!("tool-{name}"),
                "a program is not installed",
                *name,
            )
            .costs(*cost)
            .mend(format!("`apt-get install {package}`"))
        })
        .collect();
    if findings.is_empty() {
        let names: Vec<_> = facts.tools.iter().map(String::as_str).collect();
        findings.push(fine(
            "tools",
            "all programs are installed",
            names.join(", "),
        ));
    }
    findings.push(view(facts));
    findings.extend(
        DEVICES
            .iter()
            .map(|(name, users)| device(facts, name, users)),
    );
    findings
}

/// By lxcfs, or by each instance's monitor, which needs FUSE.
fn view(facts: &Facts) -> DoctorFinding {
    let by = if facts.lxcfs {
        "lxcfs"
    } else {
        "their monitors"
    };
    check(
        facts.lxcfs || facts.devices.contains("fuse"),
        fine(
            "view",
            "instances see their own limits in /proc",
            format!("by {by}"),
        ),
        flaw(
            Severity::Notice,
            "view",
            "instances see the host's figures in /proc",
            "nothing is mounted at /var/lib/lxcfs, and there is no /dev/fuse",
        )
        .costs("`free`, `nproc` and `uptime` inside show the host's numbers")
        .mend("`modprobe fuse`"),
    )
}

fn device(facts: &Facts, name: &str, users: &str) -> DoctorFinding {
    let id = format!("device-{}", name.replace('/', "-"));
    check(
        facts.devices.contains(name),
        fine(&id, "the device is there", format!("/dev/{name}")),
        flaw(
            Severity::Notice,
            &id,
            "a device is missing",
            format!("/dev/{name}"),
        )
        .costs(format!("{users} don't work inside"))
        .mend(format!(
            "`modprobe {}`",
            name.rsplit('/').next().unwrap_or(name)
        )),
    )
}
