//! All that a daemon has made, as lines of text that can be compared: rows, files, links, rules, names, containers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rlxc_network::Links as _;
use rusqlite::types::ValueRef;

use super::TestDaemon;
use crate::db::DbError;

/// A world; its difference to another is what tests print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct World(BTreeSet<String>);

impl World {
    /// What is different, line by line; empty if nothing is.
    pub(crate) fn difference(&self, expected: &Self) -> String {
        let added = self
            .0
            .difference(&expected.0)
            .map(|line| format!("+ {line}"));
        let lost = expected
            .0
            .difference(&self.0)
            .map(|line| format!("- {line}"));
        added.chain(lost).collect::<Vec<_>>().join("\n")
    }
}

impl TestDaemon {
    /// What there is, once all that goes on in the background has ended.
    pub(crate) async fn world(&self) -> World {
        self.app.tasks.close();
        self.app.tasks.wait().await;
        self.app.tasks.reopen();
        let mut lines: BTreeSet<String> =
            self.app.db.read(rows).await.unwrap().into_iter().collect();
        walk(self.path(), self.path(), &mut lines);
        walk(self.app.places.run(), self.app.places.run(), &mut lines);
        for link in self.host.links.list().await.unwrap() {
            // A veth dies with the namespace of its container, which is a fake here.
            if link.kind.as_deref() != Some("veth") {
                lines.insert(format!(
                    "link {} {:?} mtu {}",
                    link.name, link.kind, link.mtu
                ));
            }
        }
        let plugged = self.host.links.plugged();
        lines.extend(plugged.into_iter().map(|name| format!("plugged {name}")));
        let proxies = self.host.runtime.proxies();
        lines.extend(
            proxies
                .iter()
                .map(|lock| format!("proxy {}", lock.display())),
        );
        for (group, limits) in self.host.runtime.limits() {
            lines.insert(format!("limits {} {limits:?}", group.display()));
        }
        for (network, rules) in self.host.firewall.rulesets() {
            lines.insert(format!("rules {network} {rules:?}"));
        }
        for (network, hosts) in self.host.names.all() {
            let mut names: Vec<_> = hosts.values().map(|host| format!("{host:?}")).collect();
            names.sort();
            lines.insert(format!("names {network} {}", names.join(", ")));
        }
        for id in self.app.instances.ids() {
            let status = self.app.instances.status(id);
            lines.insert(format!("actor {id} {:?} {:?}", status.state, status.code));
        }
        let (root, run) = (self.path().display().to_string(), self.app.places.prefix());
        let plain = |line: String| line.replace(&root, "ROOT").replace(run, "PREFIX");
        let mut counted = BTreeMap::new();
        for line in lines {
            *counted
                .entry(without_fingerprint(&plain(line)))
                .or_insert(0) += 1;
        }
        let show = |(line, count): (String, u32)| format!("{line} ×{count}");
        World(counted.into_iter().map(show).collect())
    }
}

/// What is packed has times in it: each time it is another image, of another size.
fn without_fingerprint(line: &str) -> String {
    let is_fingerprint =
        |word: &str| word.len() == 64 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let mut plain = line.to_owned();
    for word in line.split(|letter: char| !letter.is_ascii_alphanumeric()) {
        if is_fingerprint(word) {
            plain = plain.replace(word, "FINGERPRINT");
        }
    }
    if plain.starts_with("row images ") {
        let words = plain.split(' ').filter(|word| !word.starts_with("size="));
        plain = words.collect::<Vec<_>>().join(" ");
    }
    plain
}

/// Rows of all tables but those that remember what happened; without times and what is random.
fn rows(tx: &rusqlite::Transaction<'_>) -> Result<Vec<String>, DbError> {
    const REMEMBER: &[&str] = &["operations", "journal", "warnings", "stale_descriptions"];
    let mut statement = tx.prepare(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    )?;
    let tables: Vec<String> = statement
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut lines = Vec::new();
    for table in tables
        .iter()
        .filter(|table| !REMEMBER.contains(&table.as_str()))
    {
        let mut statement = tx.prepare(&format!("SELECT * FROM {table}"))?;
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let mut line = format!("row {table}");
            for (index, column) in columns.iter().enumerate() {
                if !column.ends_with("_at") {
                    line += &[" ", column, "=", &show(row.get_ref(index)?)].concat();
                }
            }
            if !["volatile.uuid", "hwaddr", "instance-id"]
                .iter()
                .any(|random| line.contains(random))
            {
                lines.push(line);
            }
        }
    }
    Ok(lines)
}

fn show(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        other => format!("{other:?}"),
    }
}

/// Paths below `root` with what small files hold; what is in `tmp` of a pool is garbage already.
fn walk(root: &Path, directory: &Path, lines: &mut BTreeSet<String>) {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        let name = path.strip_prefix(root).unwrap().display().to_string();
        let kind = std::fs::symlink_metadata(&path).map(|metadata| metadata.is_dir());
        match kind {
            _ if ["database", "cgroup"].contains(&name.as_str()) => {}
            Ok(true) => {
                lines.insert(format!("directory {name}"));
                if !name.ends_with("/tmp") {
                    walk(root, &path, lines);
                }
            }
            _ if ["backups/", "images/"]
                .iter()
                .any(|packed| name.starts_with(packed)) =>
            {
                let empty = std::fs::metadata(&path).is_ok_and(|found| found.len() == 0);
                lines.insert(format!("file {name}, empty: {empty}"));
            }
            _ => {
                let text = std::fs::read(&path).unwrap_or_default();
                let text = String::from_utf8_lossy(&text[..text.len().min(200)]).into_owned();
                lines.insert(format!("file {name} {text:?}"));
            }
        }
    }
}
