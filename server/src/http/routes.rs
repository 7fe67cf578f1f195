//! All routes of the API as they stand in the source, so that tests see a new one without anybody thinking of it.

use std::collections::BTreeSet;
use std::path::Path;

const METHODS: [&str; 6] = ["get", "head", "post", "put", "patch", "delete"];

/// Method, in lower case, and path of every route but those of guests.
pub(super) fn all() -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    read(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http"),
        &mut found,
    );
    found
}

fn read(directory: &Path, found: &mut BTreeSet<(String, String)>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("guest") {
            read(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let text: String = text.split_whitespace().collect();
            for piece in text.split(".route(\"").skip(1) {
                let (route, handlers) = piece.split_once("\",").unwrap_or_default();
                for method in methods(handlers) {
                    found.extend(
                        paths(route, &path)
                            .into_iter()
                            .map(|path| (method.clone(), path)),
                    );
                }
            }
        }
    }
}

/// Routes that are nested have two places; those of the server itself are not.
fn paths(route: &str, file: &Path) -> Vec<String> {
    if route.starts_with("/1.0") || route.starts_with("/internal") || file.ends_with("server.rs") {
        return vec![route.to_owned()];
    }
    ["/1.0/instances", "/1.0/containers"]
        .map(|nest| format!("{nest}{}", route.trim_end_matches('/')))
        .into()
}

/// Of `get(show).put(change))…`: what is called before the parenthesis of `route` closes.
fn methods(handlers: &str) -> Vec<String> {
    let mut depth = 0_u32;
    let mut word = String::new();
    let mut methods = Vec::new();
    for character in handlers.chars() {
        match character {
            '(' => {
                if depth == 0 && METHODS.contains(&word.as_str()) {
                    methods.push(word.clone());
                }
                depth += 1;
            }
            ')' if depth == 0 => break,
            ')' => depth -= 1,
            _ => {}
        }
        if character.is_alphanumeric() || character == '_' {
            word.push(character);
        } else {
            word.clear();
        }
    }
    methods
}

#[test]
fn methods_are_those_of_one_route() {
    assert_eq!(
        methods("get(list).post(a::get(b)).layer(x::put()),).route(\"/x\",delete(y))"),
        ["get", "post"]
    );
}
