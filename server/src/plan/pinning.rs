//! Which processors each instance runs on: those that `limits.cpu` names, or so many of those that fewest others use.
//! Pure.
//!
//! An instance keeps what it has where that is as good as anything else: to move costs it its caches.

use std::collections::{BTreeMap, BTreeSet};

use super::host::HostFacts;

/// What an instance asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pins {
    /// How many processors, or which; all if not said.
    pub cpus: Option<Cpus>,
    /// NUMA nodes to choose from; any if not said.
    pub nodes: Option<Nodes>,
}

/// The value of `limits.cpu`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cpus {
    /// So many.
    Count(u32),
    /// These.
    Set(BTreeSet<u32>),
}

/// The value of `limits.cpu.nodes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Nodes {
    /// The one that fewest others are on.
    Balanced,
    /// These.
    Set(BTreeSet<u32>),
}

/// An instance that runs, or is about to.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Its id.
    pub id: i64,
    /// What it asks for.
    pub pins: Pins,
    /// What it has now.
    pub now: BTreeSet<u32>,
}

/// Where an instance is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Processors.
    pub cpus: BTreeSet<u32>,
    /// NUMA nodes that its memory comes from, if that is limited.
    pub nodes: Option<BTreeSet<u32>>,
}

/// Places all of them; one that asks for nothing is left out.
pub fn balance(host: &HostFacts, candidates: &[Candidate]) -> BTreeMap<i64, Place> {
    let mut sorted: Vec<&Candidate> = candidates.iter().collect();
    // Who has no choice comes first, then who needs most; ids make it the same each time.
    sorted.sort_by_key(|one| (rank(&one.pins), one.id));
    let mut users: BTreeMap<u32, u32> = host.cpus.iter().map(|cpu| (*cpu, 0)).collect();
    let mut places = BTreeMap::new();
    for one in sorted {
        if let Some(place) = place(host, one, &users) {
            for cpu in &place.cpus {
                *users.entry(*cpu).or_default() += 1;
            }
            places.insert(one.id, place);
        }
    }
    places
}

fn rank(pins: &Pins) -> (u8, u32) {
    match &pins.cpus {
        Some(Cpus::Set(_)) => (0, 0),
        Some(Cpus::Count(count)) => (1, u32::MAX - count),
        None => (2, 0),
    }
}

fn place(host: &HostFacts, one: &Candidate, users: &BTreeMap<u32, u32>) -> Option<Place> {
    let nodes = match &one.pins.nodes {
        None => None,
        Some(Nodes::Set(nodes)) => Some(nodes.clone()),
        Some(Nodes::Balanced) => Some(BTreeSet::from([emptiest(host, one, users)?])),
    };
    let allowed: BTreeSet<u32> = match &nodes {
        None => host.cpus.clone(),
        Some(nodes) => {
            let of_nodes = nodes.iter().filter_map(|node| host.nodes.get(node));
            of_nodes.flatten().copied().collect()
        }
    };
    let cpus = match &one.pins.cpus {
        None if nodes.is_none() => return None,
        None => allowed,
        Some(Cpus::Set(set)) => set.intersection(&host.cpus).copied().collect(),
        Some(Cpus::Count(count)) => {
            let mut free: Vec<u32> = allowed.into_iter().collect();
            free.sort_by_key(|cpu| (users.get(cpu).copied(), !one.now.contains(cpu), *cpu));
            free.truncate(usize::try_from(*count).unwrap_or(usize::MAX));
            free.into_iter().collect()
        }
    };
    Some(Place { cpus, nodes })
}

/// The node whose processors fewest use; that which it is on among equals.
fn emptiest(host: &HostFacts, one: &Candidate, users: &BTreeMap<u32, u32>) -> Option<u32> {
    let load = |cpus: &BTreeSet<u32>| {
        let sum: u32 = cpus.iter().filter_map(|cpu| users.get(cpu)).sum();
        // In hundredths, since nodes may differ in size.
        sum * 100 / u32::try_from(cpus.len()).unwrap_or(u32::MAX).max(1)
    };
    let nodes = host.nodes.iter().filter(|(_, cpus)| !cpus.is_empty());
    nodes
        .min_by_key(|(node, cpus)| (load(cpus), cpus.is_disjoint(&one.now), **node))
        .map(|(node, _)| *node)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::numbers;

    fn host(cpus: u32) -> HostFacts {
        HostFacts {
            cpus: (0..cpus).collect(),
            nodes: BTreeMap::from([
                (0, (0..cpus / 2).collect()),
                (1, (cpus / 2..cpus).collect()),
            ]),
            ..HostFacts::default()
        }
    }

    fn candidate(id: i64, cpus: Option<Cpus>, now: &str) -> Candidate {
        let now = numbers::parse(now).unwrap_or_default();
        let pins = Pins { cpus, nodes: None };
        Candidate { id, pins, now }
    }

    fn set(text: &str) -> Cpus {
        Cpus::Set(numbers::parse(text).unwrap())
    }

    fn places(cpus: u32, candidates: &[Candidate]) -> Vec<(i64, String)> {
        let placed = balance(&host(cpus), candidates);
        placed
            .into_iter()
            .map(|(id, place)| (id, numbers::format(&place.cpus)))
            .collect()
    }

    #[test]
    fn counts_share_what_sets_leave_free() {
        let one = |id| candidate(id, Some(Cpus::Count(1)), "");
        let all = [
            one(1),
            one(2),
            candidate(3, Some(set("0-1")), ""),
            candidate(4, None, ""),
        ];
        let expected = [(1, "2".into()), (2, "3".into()), (3, "0-1".into())];
        assert_eq!(places(4, &all), expected);
    }

    #[test]
    fn nobody_moves_without_need() {
        let all = [
            candidate(1, Some(Cpus::Count(1)), "3"),
            candidate(2, Some(Cpus::Count(2)), "0,2"),
        ];
        assert_eq!(places(4, &all), [(1, "3".into()), (2, "0,2".into())]);
        // The one that was alone on the first two gives way to one that has no choice.
        let all = [
            candidate(1, Some(Cpus::Count(2)), "0-1"),
            candidate(2, Some(set("0-1")), ""),
        ];
        assert_eq!(places(4, &all), [(1, "2-3".into()), (2, "0-1".into())]);
    }

    #[test]
    fn more_than_there_are_is_all() {
        let all = [candidate(1, Some(Cpus::Count(9)), "")];
        assert_eq!(places(2, &all), [(1, "0-1".into())]);
    }

    #[test]
    fn nodes_limit_the_choice() {
        let on = |nodes, cpus| Candidate {
            id: 1,
            pins: Pins {
                cpus,
                nodes: Some(nodes),
            },
            now: BTreeSet::new(),
        };
        let first = Nodes::Set(BTreeSet::from([1]));
        let placed = &balance(&host(4), &[on(first, Some(Cpus::Count(1)))])[&1];
        assert_eq!(numbers::format(&placed.cpus), "2");
        let busy = candidate(7, Some(set("0-1")), "");
        let placed = &balance(&host(4), &[on(Nodes::Balanced, None), busy])[&1];
        assert_eq!(numbers::format(&placed.cpus), "2-3");
        assert_eq!(placed.nodes, Some(BTreeSet::from([1])));
    }
}
