//! Aliases: words that stand for others at the beginning of a command, as LXD's clients keep and expand them. Pure.
//!
//! An alias is one word or several; `@ARGS@` in what it stands for is where the rest of the line goes, `@ARG1@` is its first word
//! and so on. Without either the rest is appended. What comes out is not looked up again, so that an alias may have the name of the
//! command that it stands for.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};

const REST: &str = "@ARGS@";

/// The line that is meant by `line`, which begins with the name of the program.
pub(crate) fn expand(aliases: &BTreeMap<String, String>, line: Vec<String>) -> Result<Vec<String>> {
    let Some((program, typed)) = line.split_first() else {
        return Ok(line);
    };
    let fits = |name: &str| {
        let words: Vec<&str> = name.split_whitespace().collect();
        let begins = typed.len() >= words.len() && typed.iter().zip(&words).all(|(a, b)| a == b);
        (begins && !words.is_empty()).then_some(words.len())
    };
    // The longest wins: it says more.
    let best = aliases
        .iter()
        .filter_map(|(name, target)| Some((fits(name)?, name, target)))
        .max_by_key(|(length, ..)| *length);
    let Some((length, name, target)) = best else {
        return Ok(line);
    };
    let mut expanded = vec![program.clone()];
    expanded.extend(substitute(name, target, &typed[length..])?);
    Ok(expanded)
}

/// Whether `target` can be expanded at all.
pub(crate) fn check(name: &str, target: &str) -> Result<()> {
    ensure!(
        !name.trim().is_empty() && !name.starts_with('-'),
        "`{name}` can't be an alias: it must be one or more words"
    );
    words(name, target).map(|_| ())
}

fn words(name: &str, target: &str) -> Result<Vec<String>> {
    match shlex::split(target) {
        Some(words) if !words.is_empty() => Ok(words),
        _ => bail!(
            "alias `{name}` stands for `{target}`, which does not read as words: look at its quotes"
        ),
    }
}

fn substitute(name: &str, target: &str, rest: &[String]) -> Result<Vec<String>> {
    let words = words(name, target)?;
    let used = words
        .iter()
        .flat_map(|word| numbers(word))
        .max()
        .unwrap_or(0);
    ensure!(
        rest.len() >= used,
        "alias `{name}` needs {used} or more words after it: it stands for `{target}`"
    );
    let (numbered, rest) = rest.split_at(used);
    let mut expanded = Vec::new();
    for word in &words {
        if word == REST {
            expanded.extend_from_slice(rest);
        } else {
            let filled = numbered
                .iter()
                .enumerate()
                .fold(word.clone(), |word, (index, value)| {
                    word.replace(&format!("@ARG{}@", index + 1), value)
                });
            expanded.push(filled);
        }
    }
    if !words.iter().any(|word| word == REST) {
        expanded.extend_from_slice(rest);
    }
    Ok(expanded)
}

/// The numbers of `@ARG1@`, `@ARG2@` in a word.
fn numbers(word: &str) -> impl Iterator<Item = usize> {
    let after = word.split("@ARG").skip(1);
    after
        .filter_map(|rest| rest.split_once('@')?.0.parse().ok())
        .filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(line: &str) -> Result<String> {
        let aliases = [
            ("login", "exec @ARGS@ -- su -l"),
            ("ll", "list -c ns"),
            ("as", "exec @ARG1@ --user=@ARG2@ -- @ARGS@"),
            ("my list", "list 'a b'"),
            ("list", "list --all-projects"),
            ("bad", "exec 'open"),
        ];
        let aliases = aliases.map(|(name, target)| (name.to_owned(), target.to_owned()));
        let line = format!("rlxc {line}");
        let words = line.split_whitespace().map(str::to_owned).collect();
        Ok(expand(&aliases.into(), words)?[1..].join("|"))
    }

    #[test]
    fn the_rest_goes_where_it_is_said_or_to_the_end() {
        for (line, meant) in [
            ("login c1", "exec|c1|--|su|-l"),
            ("ll x y", "list|-c|ns|x|y"),
            ("as c1 1000 id -u", "exec|c1|--user=1000|--|id|-u"),
            ("my list z", "list|a b|z"),
            ("my other", "my|other"),
            ("list", "list|--all-projects"),
            ("", ""),
            ("exec login", "exec|login"),
        ] {
            assert_eq!(expanded(line).unwrap(), meant, "{line}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        assert!(
            expanded("as c1")
                .unwrap_err()
                .to_string()
                .contains("2 or more")
        );
        assert!(expanded("bad").unwrap_err().to_string().contains("quotes"));
        assert!(check("", "list").is_err());
        assert!(check("-x", "list").is_err());
        assert!(check("x", " ").is_err());
        assert!(check("x", "list").is_ok());
    }
}
