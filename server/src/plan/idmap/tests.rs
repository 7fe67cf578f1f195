//! Ranges that never meet, and maps that the kernel takes.

use super::*;
use proptest::prelude::*;

const SIZE: u32 = IDS_PER_CONTAINER;

fn instance() -> Instance {
    Instance {
        id: 1,
        project: "default".into(),
        name: "c1".into(),
        architecture: "x86_64".into(),
        description: String::new(),
        ephemeral: false,
        pool: "p".into(),
        idmap_base: Some(1_000_000),
        idmap_size: SIZE,
        created_at: String::new(),
        last_used_at: None,
        config: Config::new(),
        devices: std::collections::BTreeMap::new(),
        profiles: Vec::new(),
        snapshots: Vec::new(),
    }
}

fn mapped(raw: &str) -> Result<IdMap, String> {
    let config = [("raw.idmap".to_owned(), raw.to_owned())].into();
    map(&instance(), &config).map(Option::unwrap)
}

proptest! {
    #[test]
    fn no_two_instances_share_an_id(first in 1u32..1_000_000, slots in 1u32..20, sizes in proptest::collection::vec(1u32..4, 0..25)) {
        let range = Span { first, count: slots * SIZE };
        let mut taken: Vec<Span> = Vec::new();
        for size in sizes {
            let size = size * SIZE;
            if let Some(base) = pick(&[range], &taken, size) {
                let span = Span { first: base, count: size };
                prop_assert!(is_free(span, &taken));
                prop_assert!(base >= first && base + size <= first + slots * SIZE);
                taken.push(span);
            }
        }
    }

    #[test]
    fn maps_stay_one_to_one(host in 1u32..2000, container in 0u32..70_000, count in 1u32..3000) {
        let raw = format!("both {host}-{} {container}-{}", host + count - 1, container + count - 1);
        let map = mapped(&raw).unwrap();
        for id in [0, container.saturating_sub(1), container, container + count - 1, container + count, SIZE - 1] {
            if let Some(outside) = map.host_uid(id) {
                prop_assert_eq!(map.container_uid(outside), Some(id));
            }
        }
        prop_assert_eq!(map.host_gid(container), Some(host));
        let ids: u64 = map.uid.iter().map(|range| u64::from(range.count)).sum();
        let own = u64::from(SIZE) - u64::from(SIZE.saturating_sub(container).min(count));
        prop_assert_eq!(ids, own + u64::from(count));
    }
}

#[test]
fn a_range_that_became_free_is_used_again() {
    let range = |first| Span { first, count: SIZE };
    let all = Span {
        first: 1000,
        count: SIZE * 3,
    };
    let taken = [range(1000), range(1000 + 2 * SIZE)];
    assert_eq!(pick(&[all], &taken, SIZE), Some(1000 + SIZE));
}

#[test]
fn too_few_ids_are_none() {
    let small = Span {
        first: 1000,
        count: 65_535,
    };
    assert_eq!(pick(&[small], &[], SIZE), None);
    assert_eq!(pick(&[], &[], SIZE), None);
}

#[test]
fn single_ids_are_shared_with_the_host() {
    let map = mapped("uid 1000 1000\ngid 50-51 60-61").unwrap();
    assert_eq!(
        IdMap::render(&map.uid),
        "0 1000000 1000\n1000 1000 1\n1001 1001001 64535\n"
    );
    assert_eq!(
        IdMap::render(&map.gid),
        "0 1000000 60\n60 50 2\n62 1000062 65474\n"
    );
}

#[test]
fn what_the_kernel_would_refuse_is_named() {
    for (raw, wrong) in [
        ("both 1000", "is not a line"),
        ("some 1 1", "is not a line"),
        ("uid 1-2 1-3", "is not a line"),
        ("uid 4294967295 1", "is not a line"),
        ("uid 1000000 5", "already"),
        ("uid 5 5\nuid 5 6", "twice"),
    ] {
        let error = mapped(raw).unwrap_err();
        assert!(error.contains(wrong), "{raw}: {error}");
    }
}

#[test]
fn sizes_are_checked() {
    let config = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter();
        pairs
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect::<Config>()
    };
    let small = wanted(&config(&[("security.idmap.size", "1000")])).unwrap_err();
    assert!(small.contains("too small"), "{small}");
    let large = config(&[
        ("security.idmap.size", "131072"),
        ("security.idmap.base", "3000000"),
    ]);
    let expected = Wanted {
        base: Some(3_000_000),
        size: 131_072,
    };
    assert_eq!(wanted(&large), Ok(Some(expected)));
    assert_eq!(
        wanted(&config(&[("security.privileged", "true")])),
        Ok(None)
    );
}
