//! Sets of numbers as the kernel writes them: `0-3,8`. See "List format" in cpuset(7).

use std::collections::BTreeSet;

/// Reads a list; nothing if it is none.
pub fn parse(text: &str) -> Option<BTreeSet<u32>> {
    const MOST: u32 = 1 << 16;
    let number = |text: &str| {
        text.trim()
            .parse::<u32>()
            .ok()
            .filter(|number| *number < MOST)
    };
    let mut numbers = BTreeSet::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return None;
        }
        numbers.extend(first..=last);
    }
    Some(numbers)
}

/// Writes a list.
pub fn format(numbers: &BTreeSet<u32>) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    let parts: Vec<String> = ranges
        .iter()
        .map(|(first, last)| {
            if first == last {
                first.to_string()
            } else {
                format!("{first}-{last}")
            }
        })
        .collect();
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_written() {
        for text in ["0", "0-3", "0-3,8", "1,3,5-6"] {
            assert_eq!(format(&parse(text).unwrap()), text);
        }
        assert_eq!(format(&parse("3,1,2").unwrap()), "1-3");
        for bad in ["", "x", "3-1", "1,", "-1", "0-99999999"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
