//! From the text of a template to the text of a file. Pure.
//!
//! Templates come with images, so nobody vouches for them: a render has a budget of steps and of output, and what would
//! let a few lines grow without end (assignments, captures, repetition) is refused. What is left is what images use:
//! values, `if`, `for`, `default` and a few more filters.

use std::fmt::Write as _;
use std::io;

use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};
use serde::Serialize;

use crate::model::{Config, Devices};
use crate::plan::cloud_init;

/// Steps of the interpreter: enough for a list of some thousand devices.
const FUEL: u64 = 200_000;
/// The longest file that is written.
const LONGEST: usize = 1 << 20;
/// Statements that can't hold on to anything.
const STATEMENTS: &[&str] = &["if", "elif", "else", "endif", "for", "endfor"];

/// What a template can ask for.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Facts<'a> {
    /// Why it is rendered: `create`, `copy` or `start`.
    pub(super) trigger: &'a str,
    /// The file in the container.
    pub(super) path: &'a str,
    /// Who it is for.
    pub(super) instance: Guest<'a>,
    /// The same, as older templates call it.
    pub(super) container: Guest<'a>,
    /// Its keys, profiles applied.
    pub(super) config: &'a Config,
    /// Its devices, profiles applied.
    pub(super) devices: &'a Devices,
    /// What the image says beside the template.
    pub(super) properties: &'a Config,
}

/// An instance as templates see it: every value is a text, as in LXD's.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Guest<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// `container`.
    #[serde(rename = "type")]
    pub(super) kind: &'a str,
    /// As `uname -m` tells it.
    pub(super) architecture: &'a str,
    /// `true` or `false`.
    pub(super) privileged: &'a str,
    /// `true` or `false`.
    pub(super) ephemeral: &'a str,
}

/// Renders a template.
pub(super) fn render(source: &str, facts: &Facts<'_>) -> Result<String, Error> {
    let source = translate(source)?;
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_keep_trailing_newline(true);
    environment.set_fuel(Some(FUEL));
    environment.add_filter("default", default);
    environment.add_filter("lower", minijinja::filters::lower);
    environment.add_filter("upper", minijinja::filters::upper);
    environment.add_filter("trim", minijinja::filters::trim);
    let mut config = facts.config.clone();
    cloud_init::add_ssh_keys(&mut config);
    environment.add_function("config_get", move |key: &str, other: Option<Value>| {
        let found = config.get(key).filter(|value| !value.is_empty());
        found.map_or_else(
            || other.unwrap_or_default(),
            |value| Value::from(value.as_str()),
        )
    });
    let mut out = Limited(Vec::new());
    environment
        .template_from_str(&source)?
        .render_captured_to(facts, &mut out)?;
    String::from_utf8(out.0).map_err(|error| Error::new(ErrorKind::WriteFailure, error.to_string()))
}

/// Django's: nothing, and the empty text, give way.
fn default(value: Value, other: Option<Value>) -> Value {
    if value.is_true() {
        value
    } else {
        other.unwrap_or_default()
    }
}

struct Limited(Vec<u8>);

impl io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LONGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Checks each tag, and writes a filter's argument as the interpreter wants it: `x|default:"y"` becomes
/// `x|default("y")`.
fn translate(source: &str) -> Result<String, Error> {
    if source.len() > LONGEST {
        return Err(Error::new(ErrorKind::SyntaxError, "it is too long"));
    }
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some((start, end)) = next_tag(rest) {
        out.push_str(&rest[..start]);
        let tag = &rest[start..end];
        if tag.starts_with("{#") {
            out.push_str(tag);
        } else {
            check_tag(tag)?;
            translate_tag(tag, &mut out);
        }
        rest = &rest[end..];
    }
    out.push_str(rest);
    Ok(out)
}

/// Where the next tag begins and ends; one that never ends is the interpreter's to refuse.
fn next_tag(text: &str) -> Option<(usize, usize)> {
    let opens = ["{{", "{%", "{#"].into_iter();
    let start = opens.filter_map(|open| text.find(open)).min()?;
    let closing = match &text[start..start + 2] {
        "{{" => "}}",
        "{%" => "%}",
        _ => "#}",
    };
    let mut quote = None;
    for (offset, letter) in text[start + 2..].char_indices() {
        let at = start + 2 + offset;
        match (quote, letter) {
            (None, '"' | '\'') if closing != "#}" => quote = Some(letter),
            (Some(open), _) if open == letter => quote = None,
            (None, _) if text[at..].starts_with(closing) => return Some((start, at + 2)),
            _ => {}
        }
    }
    Some((start, text.len()))
}

fn check_tag(tag: &str) -> Result<(), Error> {
    let refuse = |what: String| Err(Error::new(ErrorKind::SyntaxError, what));
    if let Some(inner) = tag.strip_prefix("{%") {
        let word = inner
            .trim_start_matches(['-', '+'])
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .trim_end_matches("%}")
            .trim_end_matches('-');
        if !STATEMENTS.contains(&word) {
            let known = STATEMENTS.join(", ");
            return refuse(format!("`{word}` is not possible here: there are {known}"));
        }
    }
    if pieces(tag).any(|(text, quoted)| !quoted && text.contains('*')) {
        return refuse("`*` is not possible here".to_owned());
    }
    Ok(())
}

/// A tag, cut at its quotes: each piece, and whether it is quoted (with its quotes).
fn pieces(tag: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut rest = tag;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let quoted = first == '"' || first == '\'';
        let length = if quoted {
            rest[1..].find(first).map(|end| end + 2)
        } else {
            rest.find(['"', '\''])
        };
        let (piece, left) = rest.split_at(length.unwrap_or(rest.len()));
        rest = left;
        Some((piece, quoted))
    })
}

fn translate_tag(tag: &str, out: &mut String) {
    let mut argument = false;
    for (piece, quoted) in pieces(tag) {
        if quoted {
            let (open, close) = if argument { ("(", ")") } else { ("", "") };
            // Writing to a string can't fail.
            let _ok = write!(out, "{open}{piece}{close}");
            argument = false;
            continue;
        }
        let bare = piece.trim_end();
        let filter = bare
            .strip_suffix(':')
            .filter(|bare| is_filter(bare.rsplit('|').next(), bare.contains('|')));
        argument = filter.is_some();
        out.push_str(filter.unwrap_or(piece));
    }
}

fn is_filter(name: Option<&str>, after_bar: bool) -> bool {
    let name = name.unwrap_or_default().trim();
    after_bar && !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(source: &str) -> Result<String, Error> {
        let config = Config::from([
            ("user.x".to_owned(), "y".to_owned()),
            ("user.empty".to_owned(), String::new()),
        ]);
        let properties = Config::from([("default".to_owned(), "#cloud-config\n{}".to_owned())]);
        let guest = Guest {
            name: "c1",
            kind: "container",
            architecture: "x86_64",
            privileged: "false",
            ephemeral: "false",
        };
        let facts = Facts {
            trigger: "create",
            path: "/etc/hostname",
            instance: guest,
            container: guest,
            config: &config,
            devices: &Devices::new(),
            properties: &properties,
        };
        render(source, &facts)
    }

    #[test]
    fn what_images_ask_for() {
        for (source, expected) in [
            ("{{ container.name }}\n", "c1\n"),
            (
                "{{ instance.name }} {{ trigger }} {{ path }}",
                "c1 create /etc/hostname",
            ),
            ("{{ config_get(\"user.x\", \"\") }}", "y"),
            (
                "{{ config_get(\"user.user-data\", properties.default) }}",
                "#cloud-config\n{}",
            ),
            (
                "{% if config_get(\"user.none\", \"\") == \"\" %}a{% else %}b{% endif %}",
                "a",
            ),
            ("{% if instance.privileged == \"true\" %}p{% endif %}.", "."),
            ("{{ config[\"user.x\"] }}", "y"),
            ("{{ properties.nothing|default:\"z: 1\" }}", "z: 1"),
            ("{{ properties.nothing | default(\"z\") }}", "z"),
            (
                "{% for key in config %}{{ key }} {% endfor %}",
                "user.empty user.x ",
            ),
            ("no tag: 100% {x}", "no tag: 100% {x}"),
            ("{# a * comment's #}x", "x"),
        ] {
            assert_eq!(run(source).unwrap(), expected, "{source}");
        }
    }

    #[test]
    fn nothing_grows_without_end() {
        for bad in [
            "{% set a %}x{% endset %}",
            "{%- set a = 1 %}",
            "{%set a = 1 %}",
            "{{ \"x\" * 1000000000 }}",
            "{% macro x() %}{% endmacro %}",
            "{% include \"/etc/shadow\" %}",
            "{% filter upper %}x{% endfilter %}",
            "{{ range(1000000000) }}",
        ] {
            assert!(run(bad).is_err(), "{bad}");
        }
        let nested = "{% for a in config %}".repeat(30) + "x" + &"{% endfor %}".repeat(30);
        assert!(run(&nested).is_err());
        let long = "x".repeat(LONGEST + 1);
        assert!(run(&long).is_err());
    }

    #[test]
    fn broken_templates_are_errors_not_panics() {
        for bad in [
            "{{",
            "{% if",
            "{{ 'x }}",
            "{% endif %}",
            "{{ a.b.c( }}",
            "{%",
            "{#",
        ] {
            let _any = run(bad).is_err();
        }
    }
}
