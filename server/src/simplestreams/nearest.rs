//! The names of a catalogue that are nearest to one that it has not. Pure.

use rlxc_api::simplestreams::catalogue::Catalogue;
use rlxc_api::simplestreams::{Missing, names};

use super::error::SimplestreamsError;

/// How many near names an error tells.
const NEAREST: usize = 3;

/// Adds the nearest names.
pub(super) fn explain(catalogue: &Catalogue, missing: Missing) -> SimplestreamsError {
    let mut near: Vec<_> = names(catalogue, &missing.architecture)
        .into_iter()
        .map(|name| (distance(&missing.name, name), name))
        .collect();
    near.sort_unstable();
    let near = near.into_iter().take(NEAREST);
    SimplestreamsError::NotFound {
        nearest: near.map(|(_, name)| name.to_owned()).collect(),
        name: missing.name,
        architecture: missing.architecture,
    }
}

/// How far two names are from each other, by what was typed wrong; see the Damerau–Levenshtein distance.
pub fn distance(wanted: &str, name: &str) -> usize {
    strsim::damerau_levenshtein(wanted, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_nearest_names() {
        let product = |aliases: &str| serde_json::json!({"aliases": aliases, "arch": "amd64"});
        let catalogue = serde_json::json!({"products": {
            "a": product("debian/12,debian/bookworm"), "b": product("debian/12/cloud"), "c": product("alpine/edge")}});
        let catalogue = serde_json::from_value(catalogue).unwrap();
        let missing = Missing {
            name: "debain/12".to_owned(),
            architecture: "amd64".to_owned(),
        };
        assert_eq!(
            explain(&catalogue, missing).to_string(),
            "the image server has no image `debain/12` for amd64; the nearest: `debian/12`, `debian/12/cloud`, `alpine/edge`"
        );
    }
}
