//! Judges the ids that containers may use. Pure.

use rlxc_api::{DoctorFinding, Severity};
use rlxc_sys::idmap::IDS_PER_CONTAINER;

use super::facts::Facts;
use super::finding::{Described as _, check, fine, flaw};
use super::subid::{self, SubidRange};

/// Fewer instances than this is worth a word.
const FEW_INSTANCES: u64 = 100;
const MEND: &str = "`printf 'root:1000000:1000000000\\n' >> /etc/subuid` and the same for /etc/subgid, instead of root's lines that are there";

pub(super) fn judge(facts: &Facts) -> Vec<DoctorFinding> {
    let ranges = subid::choose_ranges(&facts.subuid, &facts.subgid);
    let mut findings = vec![amount(&ranges)];
    findings.extend(overlap(facts, &ranges));
    findings
}

fn amount(ranges: &[SubidRange]) -> DoctorFinding {
    let id = "subordinate-ids";
    // A range of an instance lies within one range of the host.
    let instances: u64 = ranges
        .iter()
        .map(|range| u64::from(range.count / IDS_PER_CONTAINER))
        .sum();
    let list: Vec<_> = ranges
        .iter()
        .map(|range| format!("{}:{}", range.base, range.count))
        .collect();
    let detail = format!("{} for {instances} instances", list.join(", "));
    if instances == 0 {
        return flaw(Severity::Error, id, "root has no 65,536 ids for a container", list.join(", "))
            .costs("no unprivileged instance can be made: what root has in /etc/subuid and in /etc/subgid must be the same ids, and enough")
            .mend(MEND);
    }
    check(
        instances >= FEW_INSTANCES,
        fine(id, "there are ids for containers", &detail),
        flaw(
            Severity::Notice,
            id,
            "there are ids for few containers only",
            &detail,
        )
        .costs(
            "each instance has 65,536 ids of its own; when they are used up, no more can be made",
        )
        .mend(MEND),
    )
}

fn overlap(facts: &Facts, ranges: &[SubidRange]) -> Option<DoctorFinding> {
    let mut users = subid::find_overlaps(&facts.subuid, ranges);
    users.extend(subid::find_overlaps(&facts.subgid, ranges));
    let (user, range) = users.first()?;
    let detail = format!("`{user}` has {}:{}", range.base, range.count);
    Some(
        flaw(Severity::Warning, "subordinate-ids-overlap", "a user has the same ids as containers", detail)
            .costs("processes of that user's own containers and of an instance could count as the same user")
            .mend("give root or that user another range in /etc/subuid and /etc/subgid (before instances are made)"),
    )
}
