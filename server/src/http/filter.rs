//! `filter=` of lists: `name eq web and config.user.role ne "data base"`. Read from left to right without precedence, as LXD
//! does. A value is a regular expression over the whole of what it is compared with, whatever the case of letters.

use regex_lite::{Regex, RegexBuilder};
use serde::Serialize;
use serde_json::Value;

use crate::error::{Error, Result};

/// The largest program that an expression may become, in bytes.
const LARGEST_PROGRAM: usize = 64 << 10;
/// More than anybody writes.
const MOST_CLAUSES: usize = 64;

/// Which items of a list are wanted.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter(Vec<Clause>);

#[derive(Debug, Clone)]
struct Clause {
    /// How it is joined to what stands before it.
    join: Join,
    negated: bool,
    field: String,
    equal: bool,
    value: Regex,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Join {
    And,
    Or,
}

impl Filter {
    /// Reads one; empty and `undefined`, which a web client sends, are none.
    pub(super) fn parse(text: &str) -> Result<Self> {
        if matches!(text.trim(), "" | "undefined") {
            return Ok(Self::default());
        }
        let bad = |why: &str| Error::Invalid(format!("filter `{text}`: {why}"));
        let words = words(text).ok_or_else(|| bad("a quote is not closed"))?;
        let mut rest = words.as_slice();
        let mut clauses = Vec::new();
        let mut join = Join::And;
        loop {
            let (clause, after) = clause(join, rest).map_err(|why| bad(&why))?;
            clauses.push(clause);
            if clauses.len() > MOST_CLAUSES {
                return Err(bad("it has too many parts"));
            }
            join = match after.first().map(|word| word.to_ascii_lowercase()) {
                None => return Ok(Self(clauses)),
                Some(word) if word == "and" => Join::And,
                Some(word) if word == "or" => Join::Or,
                Some(word) => {
                    return Err(bad(&format!("`{word}` stands where `and` or `or` should")));
                }
            };
            rest = &after[1..];
        }
    }

    /// Whether it lets everything pass.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an item is wanted.
    pub(super) fn accepts<T: Serialize>(&self, item: &T) -> Result<bool> {
        if self.is_empty() {
            return Ok(true);
        }
        let item = serde_json::to_value(item).map_err(Error::internal)?;
        Ok(self
            .0
            .iter()
            .fold(true, |so_far, clause| match clause.join {
                Join::And => so_far && clause.accepts(&item),
                Join::Or => so_far || clause.accepts(&item),
            }))
    }
}

impl Clause {
    fn accepts(&self, item: &Value) -> bool {
        let found = lookup(item, &self.field).is_some_and(|value| self.is_like(value));
        (found == self.equal) != self.negated
    }

    fn is_like(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => self.value.is_match(text),
            Value::Array(items) => items.iter().any(|item| self.is_like(item)),
            Value::Object(_) => false,
            Value::Null => self.value.is_match(""),
            other => self.value.is_match(&other.to_string()),
        }
    }
}

/// One comparison, and what comes after it.
fn clause(join: Join, words: &[String]) -> Result<(Clause, &[String]), String> {
    let negated = words
        .first()
        .is_some_and(|word| word.eq_ignore_ascii_case("not"));
    let words = if negated { &words[1..] } else { words };
    let [field, operator, value, rest @ ..] = words else {
        return Err("a comparison is FIELD eq VALUE or FIELD ne VALUE".to_owned());
    };
    let equal = match operator.to_ascii_lowercase().as_str() {
        "eq" => true,
        "ne" => false,
        _ => return Err(format!("`{operator}` is neither `eq` nor `ne`")),
    };
    let value = RegexBuilder::new(&format!("^(?:{value})$"))
        .case_insensitive(true)
        .size_limit(LARGEST_PROGRAM)
        .build()
        .map_err(|_bad| format!("`{value}` is not a regular expression"))?;
    let clause = Clause {
        join,
        negated,
        field: field.clone(),
        equal,
        value,
    };
    Ok((clause, rest))
}

/// Words, of which those in quotes may hold blanks. Nothing if a quote is not closed.
fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, after) = if matches!(first, '"' | '\'') {
            let inside = &rest[1..];
            let end = inside.find(first)?;
            (&inside[..end], &inside[end + 1..])
        } else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            rest.split_at(end)
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    Some(words)
}

/// What stands under a dotted name; names of keys hold dots themselves.
fn lookup<'a>(item: &'a Value, name: &str) -> Option<&'a Value> {
    let object = item.as_object()?;
    if let Some(value) = object.get(name) {
        return Some(value);
    }
    let dots = name.match_indices('.').map(|(at, _)| at);
    let mut parts = dots.filter_map(|at| Some((object.get(&name[..at])?, &name[at + 1..])));
    parts.find_map(|(inner, rest)| lookup(inner, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn accepts(filter: &str) -> bool {
        let item = json!({
            "name": "web1", "status": "Running", "ephemeral": false, "type": "container", "profiles": ["default", "net"],
            "config": {"user.role": "front end", "limits.cpu": "2"},
            "devices": {"eth0": {"nictype": "bridged", "ipv4.address": "10.0.0.2"}}, "state": {"pid": 17, "processes": null},
        });
        Filter::parse(filter).unwrap().accepts(&item).unwrap()
    }

    #[test]
    fn items_are_chosen_as_lxd_does() {
        for filter in [
            "",
            "undefined",
            "name eq web1",
            "name eq WEB1",
            "name eq web.*",
            "status eq running",
            "ephemeral eq false",
            "not name eq web2",
            "name ne web",
            "config.user.role eq \"front end\"",
            "config.user.role eq 'front end'",
            "devices.eth0.nictype eq bridged",
            "devices.eth0.ipv4.address eq 10.0.0.2",
            "state.pid eq 17",
            "profiles eq net",
            "no.such.field ne x",
            "name eq web2 or status eq running",
            "name eq web2 and name eq web3 or name eq web1",
            "not name eq web2 AND config.limits.cpu EQ 2",
        ] {
            assert!(accepts(filter), "{filter}");
        }
        for filter in [
            "name eq web",
            "name eq eb1",
            "name ne web1",
            "not name eq web1",
            "config eq x",
            "config.user eq x",
            "no.such.field eq x",
            "name eq web1 or name eq web1 and name eq x",
            "profiles eq nets",
        ] {
            assert!(!accepts(filter), "{filter}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for filter in [
            "name",
            "name eq",
            "name is x",
            "name eq x and",
            "name eq x y",
            "name eq x xor name eq y",
            "name eq \"x",
            "not",
            "name eq (",
            "name eq x{1000}{1000}{1000}",
        ] {
            let error = Filter::parse(filter).unwrap_err().to_string();
            assert!(error.contains(filter), "{error}");
        }
        let long = vec!["a eq b"; 100].join(" and ");
        assert!(Filter::parse(&long).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text: String) {
            drop(Filter::parse(&text));
        }
    }
}
