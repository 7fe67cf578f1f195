//! Names of makers and models from the lists of the package hwdata or pciutils, where one is installed.

use super::tree::Tree;

const DIRECTORIES: [&str; 2] = ["usr/share/misc", "usr/share/hwdata"];

/// A list: a maker at the beginning of a line, its models below it behind a tab.
#[derive(Debug)]
pub(super) struct Ids(String);

impl Ids {
    pub(super) fn load(tree: &Tree, name: &str) -> Self {
        let texts = DIRECTORIES.map(|directory| tree.text(format!("{directory}/{name}")));
        Self(
            texts
                .into_iter()
                .find(|text| !text.is_empty())
                .unwrap_or_default(),
        )
    }

    /// Names of a maker and a model; empty where the list has none.
    pub(super) fn names(&self, vendor: &str, product: &str) -> (String, String) {
        let entry = |line: &str, id: &str| {
            let rest = line.strip_prefix(id)?;
            Some(rest.strip_prefix("  ")?.trim().to_owned())
        };
        let mut lines = self.0.lines();
        let Some(maker) = lines.find_map(|line| entry(line, vendor)) else {
            return (String::new(), String::new());
        };
        let models = lines.take_while(|line| line.starts_with(['\t', '#']));
        let model = models
            .filter_map(|line| line.strip_prefix('\t'))
            .find_map(|line| entry(line, product));
        (maker, model.unwrap_or_default())
    }
}
