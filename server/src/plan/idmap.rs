//! Which host ids an instance gets: a range of its own, that no other instance has.

use rlxc_sys::idmap::IDS_PER_CONTAINER;

/// Picks the lowest free range; `ranges` are (first id, count) of what the host allows, `taken` the bases in use.
pub fn pick_base(ranges: &[(u32, u32)], taken: &[u32]) -> Option<u32> {
    let size = IDS_PER_CONTAINER;
    ranges.iter().find_map(|(first, count)| {
        (0..count / size)
            .map(|slot| first + slot * size)
            .find(|base| !taken.iter().any(|other| overlaps(*base, *other)))
    })
}

fn overlaps(a: u32, b: u32) -> bool {
    a.abs_diff(b) < IDS_PER_CONTAINER
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_two_instances_share_an_id(first in 1u32..1_000_000, slots in 1u32..20, count in 0usize..25) {
            let ranges = [(first, slots * IDS_PER_CONTAINER)];
            let mut taken = Vec::new();
            for _ in 0..count {
                if let Some(base) = pick_base(&ranges, &taken) {
                    prop_assert!(taken.iter().all(|other| !overlaps(base, *other)));
                    prop_assert!(base >= first && base + IDS_PER_CONTAINER <= first + slots * IDS_PER_CONTAINER);
                    taken.push(base);
                } else {
                    prop_assert_eq!(taken.len(), slots as usize);
                }
            }
        }
    }

    #[test]
    fn a_range_that_became_free_is_used_again() {
        let size = IDS_PER_CONTAINER;
        assert_eq!(
            pick_base(&[(1000, size * 3)], &[1000, 1000 + 2 * size]),
            Some(1000 + size)
        );
    }

    #[test]
    fn too_few_ids_are_none() {
        assert_eq!(pick_base(&[(1000, 65_535)], &[]), None);
        assert_eq!(pick_base(&[], &[]), None);
    }
}
