//! Subordinate ids: which host ids containers may use, from `/etc/subuid` and `/etc/subgid`. Pure.
//!
//! See subuid(5). A host without a line for root is fine: a built-in range is taken then, which ordinary users' ids and
//! the ranges that useradd(8) gives them (100000 to 600100000) should not reach; [`find_overlaps`] tells whether they do.

/// First id of the range that is taken when the files have none for root.
pub const DEFAULT_BASE: u32 = 1_000_000;
/// How many ids that range has.
pub const DEFAULT_COUNT: u32 = 1_000_000_000;

/// A range of host ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SubidRange {
    /// The first.
    pub base: u32,
    /// How many.
    pub count: u32,
}

/// The built-in range.
pub const DEFAULT_RANGE: SubidRange = SubidRange {
    base: DEFAULT_BASE,
    count: DEFAULT_COUNT,
};

impl SubidRange {
    /// One past the last.
    pub fn end(self) -> u64 {
        u64::from(self.base) + u64::from(self.count)
    }

    /// What two ranges have in common.
    pub fn intersect(self, other: Self) -> Option<Self> {
        let base = self.base.max(other.base);
        let count = self.end().min(other.end()).checked_sub(u64::from(base))?;
        let count = u32::try_from(count).ok().filter(|count| *count > 0)?;
        Some(Self { base, count })
    }
}

/// The ranges of a user (its name or its number will do), in the order of the file. Lines that make no sense are
/// skipped, as the shadow tools do: so are empty ranges, host root's own id, and what would go beyond the last id.
pub fn parse_subid(text: &str, users: &[&str]) -> Vec<SubidRange> {
    let lines = text.lines().filter_map(parse_line);
    lines
        .filter(|(user, _)| users.contains(user))
        .map(|(_, range)| range)
        .collect()
}

fn parse_line(line: &str) -> Option<(&str, SubidRange)> {
    let mut fields = line.trim().splitn(3, ':');
    let user = fields.next()?;
    let base: u32 = fields.next()?.trim().parse().ok()?;
    let count: u32 = fields.next()?.trim().parse().ok()?;
    // The last id, 2³²-1, means "none" (-1).
    let fits = base > 0 && count > 0 && u64::from(base) + u64::from(count) < u64::from(u32::MAX);
    (fits && !user.starts_with('#')).then_some((user, SubidRange { base, count }))
}

/// The ids that containers may use as users and as groups alike, from the texts of both files: what root has in
/// both, or the built-in range
/// where neither file has a line for root. Empty if the files contradict each other.
pub fn choose_ranges(users: &str, groups: &str) -> Vec<SubidRange> {
    let root = ["root", "0"];
    let (uids, gids) = (parse_subid(users, &root), parse_subid(groups, &root));
    if uids.is_empty() && gids.is_empty() {
        return vec![DEFAULT_RANGE];
    }
    let mut common: Vec<SubidRange> = uids
        .iter()
        .flat_map(|uid| gids.iter().filter_map(|gid| uid.intersect(*gid)))
        .collect();
    common.sort_unstable();
    common.dedup();
    common
}

/// Which users other than root have ids within `ranges`.
pub fn find_overlaps<'a>(text: &'a str, ranges: &[SubidRange]) -> Vec<(&'a str, SubidRange)> {
    text.lines()
        .filter_map(parse_line)
        .filter(|(user, _)| !["root", "0"].contains(user))
        .filter(|(_, range)| ranges.iter().any(|ours| ours.intersect(*range).is_some()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn range(base: u32, count: u32) -> SubidRange {
        SubidRange { base, count }
    }

    #[test]
    fn reads_roots_lines_by_name_and_number() {
        let text =
            "user:100000:65536\n# root:1:1\nroot:1000000:65536\n0:2000000:10\nroot:x:1\nroot:5\n";
        assert_eq!(
            parse_subid(text, &["root", "0"]),
            [range(1_000_000, 65_536), range(2_000_000, 10)]
        );
    }

    #[test]
    fn skips_ranges_that_can_not_be() {
        let text = "root:0:10\nroot:5:0\nroot:4294967290:10\nroot:99999999999:1\nroot:-1:5\n";
        assert_eq!(parse_subid(text, &["root"]), []);
    }

    #[test]
    fn built_in_range_without_lines_and_the_common_part_with() {
        assert_eq!(choose_ranges("user:100000:65536", ""), [DEFAULT_RANGE]);
        assert_eq!(
            choose_ranges("root:100000:1000\nroot:500000:10", "root:100500:1000"),
            [range(100_500, 500)]
        );
        assert_eq!(choose_ranges("root:100000:1000", ""), []);
    }

    #[test]
    fn tells_who_else_has_the_ids() {
        let text = "root:1000000:100\nanna:1000050:100\nberta:100000:10\n";
        let overlaps = find_overlaps(text, &[range(1_000_000, 100)]);
        assert_eq!(overlaps, [("anna", range(1_000_050, 100))]);
    }

    proptest! {
        #[test]
        fn an_intersection_is_within_both(a in 0u32..1000, b in 1u32..1000, c in 0u32..1000, d in 1u32..1000) {
            let (one, other) = (range(a, b), range(c, d));
            prop_assert_eq!(one.intersect(other), other.intersect(one));
            if let Some(common) = one.intersect(other) {
                prop_assert!(common.base >= a.max(c) && common.end() <= one.end().min(other.end()));
            }
        }
    }
}
