//! The rules of the house that no compiler checks, read from the source tree itself.
#![expect(clippy::unwrap_used, reason = "a helper of a test may end it")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rlxc_tests::archive::fingerprint;
use rlxc_tests::process::Run;
use rlxc_tests::source_tree;

const CRATES: [&str; 8] = [
    "api",
    "client",
    "container",
    "network",
    "server",
    "storage",
    "sys",
    "tests",
];
/// Lines of a file, its tests not counted, beyond which it must be split.
const HARD_LIMIT: usize = 500;
/// Lines beyond which a file is listed for review.
const SOFT_LIMIT: usize = 300;

/// Which crates of ours a crate may use.
const ARROWS: [(&str, &[&str]); 8] = [
    ("api", &[]),
    ("sys", &[]),
    ("client", &["api"]),
    ("container", &["sys"]),
    ("network", &["api", "sys"]),
    ("storage", &["api", "sys"]),
    ("server", &["api", "container", "network", "storage", "sys"]),
    ("tests", &["api", "client"]),
];

fn files_below(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let (path, name) = (
            entry.path(),
            entry.file_name().to_string_lossy().into_owned(),
        );
        if entry.file_type().unwrap().is_dir() {
            if name != "target" && name != ".git" {
                files_below(&path, found);
            }
        } else {
            found.push(path);
        }
    }
}

/// Every Rust file of the workspace, by its path from the root.
fn sources() -> BTreeMap<String, String> {
    let root = source_tree();
    let mut found = Vec::new();
    for name in CRATES {
        files_below(&root.join(name), &mut found);
    }
    found
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| {
            let name = path.strip_prefix(&root).unwrap().display().to_string();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect()
}

/// The file without its tests at the end.
fn product(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or(text)
}

#[test]
fn unsafe_code_is_only_in_sys() {
    for name in CRATES.iter().filter(|name| **name != "sys") {
        let roots: Vec<String> = sources()
            .into_iter()
            .filter(|(path, _)| {
                *path == format!("{name}/src/lib.rs") || *path == format!("{name}/src/main.rs")
            })
            .filter(|(_, text)| !text.contains("#![forbid(unsafe_code)]"))
            .map(|(path, _)| path)
            .collect();
        assert!(
            roots.is_empty(),
            "without #![forbid(unsafe_code)]: {roots:?}"
        );
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<_> = sources()
        .into_iter()
        // Tests that were moved out of a file for its length belong to that file.
        .filter(|(path, _)| !path.ends_with("tests.rs"))
        .filter(|(_, text)| {
            text.lines()
                .find(|line| !line.starts_with("#!["))
                .is_none_or(|line| !line.starts_with("//!"))
        })
        .map(|(path, _)| path)
        .collect();
    assert!(
        silent.is_empty(),
        "these files do not begin with `//!`: {silent:#?}"
    );
}

#[test]
fn files_are_small() {
    let mut long: Vec<(usize, String)> = sources()
        .into_iter()
        .filter(|(path, _)| !path.contains("/tests/") && !path.ends_with("tests.rs"))
        .map(|(path, text)| (product(&text).lines().count(), path))
        .filter(|(lines, _)| *lines > SOFT_LIMIT)
        .collect();
    long.sort();
    for (lines, path) in &long {
        println!("{lines:5} {path}");
    }
    long.retain(|(lines, _)| *lines > HARD_LIMIT);
    assert!(long.is_empty(), "longer than {HARD_LIMIT} lines: {long:#?}");
}

#[test]
fn nothing_is_left_to_do() {
    // Written apart, so that this file does not find itself.
    let words = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("todo", "!("),
        concat!("unimple", "mented!("),
    ];
    for (path, text) in sources() {
        for word in words {
            assert!(!text.contains(word), "{path} has a `{word}`");
        }
    }
}

#[test]
fn crates_depend_only_downwards() {
    let packages = metadata();
    for (name, allowed) in ARROWS {
        let package = packages
            .iter()
            .find(|p| p["name"] == format!("rlxc-{name}"))
            .unwrap();
        for dependency in package["dependencies"].as_array().unwrap() {
            let used = dependency["name"].as_str().unwrap();
            if let Some(ours) = used.strip_prefix("rlxc-") {
                assert!(allowed.contains(&ours), "{name} must not depend on {ours}");
            }
        }
    }
}

#[test]
fn the_synchronous_crates_know_no_tokio() {
    for name in ["sys", "storage", "container"] {
        let package = format!("rlxc-{name}");
        let tree = cargo(&[
            "tree",
            "--offline",
            "--package",
            &package,
            "--edges",
            "normal",
            "--prefix",
            "none",
        ]);
        for banned in ["tokio v", "rusqlite v", "openssl v", "hyper v"] {
            assert!(
                !tree.lines().any(|line| line.starts_with(banned)),
                "{name} must not link {banned}\n{tree}"
            );
        }
    }
}

#[test]
fn every_dependency_is_justified() {
    let text = std::fs::read_to_string(source_tree().join("docs/dependencies.md")).unwrap();
    let explained: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("- `")?.split('`').next())
        .collect();
    let mut missing = BTreeSet::new();
    for package in metadata() {
        for dependency in package["dependencies"].as_array().unwrap() {
            let name = dependency["name"].as_str().unwrap();
            if !name.starts_with("rlxc-") && !explained.contains(name) {
                missing.insert(name.to_owned());
            }
        }
    }
    assert!(
        missing.is_empty(),
        "no line in docs/dependencies.md for: {missing:?}"
    );
}

#[test]
fn released_migrations_do_not_change() {
    let dir = source_tree().join("migrations");
    let known = std::fs::read_to_string(dir.join("released.sha256")).unwrap_or_default();
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(&dir).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if Path::new(&name)
            .extension()
            .is_some_and(|extension| extension == "sql")
            && name != "schema.sql"
        {
            numbers.push(name[..4].parse::<usize>().expect("NNNN_name.sql"));
            let hash = fingerprint(&[&std::fs::read(entry.path()).unwrap()]);
            if let Some(line) = known.lines().find(|line| line.ends_with(&name)) {
                assert!(
                    line.starts_with(&hash),
                    "{name} was released and has changed: add a new migration instead"
                );
            }
        }
    }
    numbers.sort_unstable();
    assert_eq!(
        numbers,
        (1..=numbers.len()).collect::<Vec<_>>(),
        "numbered without a gap"
    );
}

#[test]
fn nothing_of_a_developers_machine_is_in_the_tree() {
    let root = source_tree();
    let listed = Run::new(["git", "-C", &root.to_string_lossy(), "ls-files"])
        .output()
        .unwrap();
    // Written apart, so that this file does not find itself.
    let words = [
        concat!("/wo", "rk/main"),
        concat!("/wo", "rk/shared"),
        concat!("/home/", "user"),
        concat!("art", "ifactory"),
        concat!("artifact", "registry"),
    ];
    for name in listed.stdout.lines().filter(|name| *name != "Cargo.lock") {
        let Ok(text) = std::fs::read_to_string(root.join(name)) else {
            continue;
        };
        for word in words {
            assert!(!text.contains(word), "{name} has `{word}`");
        }
    }
    let lock = std::fs::read_to_string(root.join("Cargo.lock")).unwrap();
    let elsewhere: Vec<_> = lock
        .lines()
        .filter(|line| {
            line.starts_with("source = ") && !line.contains("github.com/rust-lang/crates.io-index")
        })
        .collect();
    assert!(
        elsewhere.is_empty(),
        "dependencies come from crates.io: {elsewhere:?}"
    );
}

fn metadata() -> Vec<serde_json::Value> {
    let text = cargo(&[
        "metadata",
        "--offline",
        "--no-deps",
        "--format-version",
        "1",
    ]);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    value["packages"].as_array().unwrap().clone()
}

fn cargo(args: &[&str]) -> String {
    let manifest = source_tree().join("Cargo.toml").display().to_string();
    let mut line = vec![std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())];
    line.extend(args.iter().map(|arg| (*arg).to_owned()));
    line.extend(["--manifest-path".to_owned(), manifest]);
    Run::new(line).ok().unwrap().stdout
}
