//! Which host ids an instance gets: a range of its own that no other instance has, and single ids that it shares with the host
//! by `raw.idmap`. See user_namespaces(7).

use rlxc_sys::idmap::{IDS_PER_CONTAINER, IdMap, IdRange};

use crate::keys::is_true;
use crate::model::{Config, Instance};

/// Ids of the host, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first.
    pub first: u32,
    /// How many.
    pub count: u32,
}

impl Span {
    /// Whether all ids of the other are among these.
    pub fn contains(self, other: Self) -> bool {
        let end = |span: Self| u64::from(span.first) + u64::from(span.count);
        self.first <= other.first && end(other) <= end(self)
    }

    /// Whether any id of the other is among these.
    pub fn overlaps(self, other: Self) -> bool {
        let end = |span: Self| u64::from(span.first) + u64::from(span.count);
        u64::from(self.first) < end(other) && u64::from(other.first) < end(self)
    }
}

/// What an instance wants of its ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// `security.idmap.base`: where its range is to begin.
    pub base: Option<u32>,
    /// `security.idmap.size`.
    pub size: u32,
}

/// What the keys say; `None` for a privileged instance, which has the host's ids.
pub fn wanted(config: &Config) -> Result<Option<Wanted>, String> {
    if is_true(config, "security.privileged") {
        return Ok(None);
    }
    let number = |key: &str| -> Result<Option<u32>, String> {
        let text = config.get(key).filter(|text| !text.is_empty());
        let parse = |text: &String| {
            text.parse()
                .map_err(|_bad| format!("`{key}={text}` is not a number of ids"))
        };
        text.map(parse).transpose()
    };
    let size = number("security.idmap.size")?.unwrap_or(IDS_PER_CONTAINER);
    if size < IDS_PER_CONTAINER {
        return Err(format!(
            "`security.idmap.size={size}` is too small: a distribution needs {IDS_PER_CONTAINER} ids, `nobody` is the last but one of them"
        ));
    }
    let base = number("security.idmap.base")?;
    Ok(Some(Wanted { base, size }))
}

/// Picks the lowest free range of `size` ids; `ranges` is what the host allows.
pub fn pick(ranges: &[Span], taken: &[Span], size: u32) -> Option<u32> {
    let step = IDS_PER_CONTAINER;
    ranges.iter().find_map(|range| {
        let slots = range.count.checked_sub(size)? / step;
        (0..=slots)
            .map(|slot| range.first + slot * step)
            .find(|first| {
                is_free(
                    Span {
                        first: *first,
                        count: size,
                    },
                    taken,
                )
            })
    })
}

/// Whether nobody has any of these ids.
pub fn is_free(span: Span, taken: &[Span]) -> bool {
    !taken.iter().any(|other| span.overlaps(*other))
}

/// The map of an instance whose range is settled; `None` for a privileged one.
pub fn map(instance: &Instance, config: &Config) -> Result<Option<IdMap>, String> {
    if is_true(config, "security.privileged") {
        return Ok(None);
    }
    let base = instance
        .idmap_base
        .ok_or_else(|| format!("instance `{}` has no ids of its own", instance.name))?;
    let mut map = IdMap::contiguous(base, instance.idmap_size);
    let own = Span {
        first: base,
        count: instance.idmap_size,
    };
    for line in parse_raw(config.get("raw.idmap").map_or("", String::as_str))? {
        if line.host.overlaps(own) {
            return Err(format!(
                "`raw.idmap`: the ids from {} on are the instance's own on this host already",
                line.host.first
            ));
        }
        let range = IdRange {
            container: line.container,
            host: line.host.first,
            count: line.host.count,
        };
        if line.users {
            map.uid = with(&map.uid, range)?;
        }
        if line.groups {
            map.gid = with(&map.gid, range)?;
        }
    }
    Ok(Some(map))
}

/// The ids of the host that a value of `raw.idmap` gives away; those of a value that is none are none.
pub fn shared(raw: &str) -> Vec<Span> {
    let lines = parse_raw(raw).unwrap_or_default();
    lines.into_iter().map(|line| line.host).collect()
}

/// A line of `raw.idmap`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RawLine {
    users: bool,
    groups: bool,
    host: Span,
    container: u32,
}

/// Whether a value is one for `raw.idmap`.
pub fn is_raw(text: &str) -> bool {
    parse_raw(text).is_ok()
}

/// Lines such as `both 1000 1000` or `uid 50-60 500-510`: the host's ids, then the instance's.
fn parse_raw(text: &str) -> Result<Vec<RawLine>, String> {
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty())
        .map(|line| {
            parse_line(line).ok_or_else(|| {
                format!("`raw.idmap`: `{line}` is not a line such as `both 1000 1000` or `uid 50-60 500-510`")
            })
        })
        .collect()
}

fn parse_line(line: &str) -> Option<RawLine> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [kind, host, container] = words[..] else {
        return None;
    };
    let (users, groups) = match kind {
        "both" => (true, true),
        "uid" => (true, false),
        "gid" => (false, true),
        _ => return None,
    };
    let (host, container) = (parse_span(host)?, parse_span(container)?);
    (host.count == container.count).then_some(RawLine {
        users,
        groups,
        host,
        container: container.first,
    })
}

fn parse_span(text: &str) -> Option<Span> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
    let count = last.checked_sub(first)?.checked_add(1)?;
    // The last number is none of an id: it stands for "no change", see chown(2).
    (last < u32::MAX).then_some(Span { first, count })
}

/// The ranges with `new` in place of what they said of its ids.
fn with(ranges: &[IdRange], new: IdRange) -> Result<Vec<IdRange>, String> {
    let end = |range: &IdRange| u64::from(range.container) + u64::from(range.count);
    let host = Span {
        first: new.host,
        count: new.count,
    };
    let mut result = Vec::new();
    for range in ranges {
        // What was put in before is no range to cut.
        let cut = |from: u64, to: u64| {
            let offset = u32::try_from(from - u64::from(range.container)).ok()?;
            let count = u32::try_from(to.checked_sub(from)?)
                .ok()
                .filter(|count| *count > 0)?;
            Some(IdRange {
                container: range.container + offset,
                host: range.host + offset,
                count,
            })
        };
        let (from, to) = (u64::from(new.container), end(&new));
        let start = u64::from(range.container);
        result.extend(cut(start, end(range).min(from.max(start))));
        result.extend(cut(to.max(start).min(end(range)), end(range)));
    }
    let twice = result.iter().any(|range: &IdRange| {
        host.overlaps(Span {
            first: range.host,
            count: range.count,
        })
    });
    if twice {
        return Err(format!(
            "`raw.idmap`: the host's ids from {} on are given twice",
            new.host
        ));
    }
    result.push(new);
    result.sort_by_key(|range| range.container);
    Ok(result)
}

#[cfg(test)]
mod tests;
