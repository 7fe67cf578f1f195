//! `docs/configuration.md`, written from the table.

use std::fmt::Write as _;
use std::path::Path;

use super::{Group, SCOPES, Scope};

const BEGINNING: &str = "\
# Configuration keys

Written from the table in `server/src/keys`, which also checks what users write and answers
`GET /1.0/metadata/configuration`. `*` stands for a name. *Live* keys take effect at once, the others at the next start.
";

fn document() -> String {
    SCOPES
        .iter()
        .fold(BEGINNING.to_owned(), |text, scope| text + &section(scope))
}

fn section(scope: &Scope) -> String {
    let title = format!("\n## {}\n", scope.entity);
    scope
        .groups
        .iter()
        .fold(title, |text, group| text + &table(group))
}

fn table(group: &Group) -> String {
    let mut text = format!(
        "\n### {}\n\n| key | value | default | live | what it does |\n|---|---|---|---|---|\n",
        group.name
    );
    for key in group.keys {
        let wanted = key.kind.wanted();
        let wanted = if wanted.is_empty() { "text" } else { &wanted };
        let live = if key.live { "yes" } else { "" };
        let condition = match key.condition {
            "" => String::new(),
            condition => format!(" (if {condition})"),
        };
        let row = [
            &format!("`{}`", key.name),
            wanted,
            key.default,
            live,
            &format!("{}{condition}", key.about),
        ];
        writeln!(text, "| {} |", row.join(" | ").replace("| |", "|  |")).unwrap();
    }
    text
}

#[test]
fn docs_are_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, document()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == document(),
        "docs/configuration.md is not what the table says: UPDATE_DOCS=1 cargo nextest run -p rlxc-server docs_are_current"
    );
}
