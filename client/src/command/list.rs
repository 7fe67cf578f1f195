//! `list`.

use anyhow::{Result, bail};
use rlxc_api::{InstanceFull, InstanceState};
use rlxc_client::url;

use crate::cli::ListArgs;
use crate::context::Context;
use crate::render::{self, Table};

/// A column: its header, and a cell of an instance.
struct Column {
    header: String,
    cell: Cell,
}

enum Cell {
    Field(fn(&InstanceFull) -> String),
    Key(String),
}

pub(crate) async fn run(context: &Context, args: &ListArgs) -> Result<()> {
    let columns = columns(&args.columns)?;
    // State and snapshots cost the daemon more than the rest.
    let full = args
        .columns
        .contains(['4', '6', 'S', 'm', 'D', 'N', 'p', 'u'])
        && !args.fast;
    let table_only = matches!(
        args.format.format,
        crate::cli::Format::Json | crate::cli::Format::Yaml
    );
    let recursion = if full || table_only { "2" } else { "1" };
    let mut path = url::with_query("/1.0/instances", "recursion", recursion);
    let only_addresses = !args.columns.contains(['m', 'D', 'N', 'p', 'u']);
    if full && !table_only && only_addresses {
        path = url::with_query(&path, "fields", "state.network");
    }
    if args.all_projects {
        path = url::with_query(&path, "all-projects", "true");
    }
    let mut instances: Vec<InstanceFull> = context.client.get(&path).await?;
    instances.retain(|instance| args.filters.iter().all(|filter| fits(instance, filter)));
    instances.sort_by(|a, b| a.instance.name.cmp(&b.instance.name));
    context.list(args.format.format, &instances, || {
        table(&columns, &instances)
    })
}

fn table(columns: &[Column], instances: &[InstanceFull]) -> Table {
    let header: Vec<&str> = columns
        .iter()
        .map(|column| column.header.as_str())
        .collect();
    let rows = instances
        .iter()
        .map(|instance| {
            columns
                .iter()
                .map(|column| match &column.cell {
                    Cell::Field(field) => field(instance),
                    Cell::Key(key) => instance
                        .instance
                        .expanded_config
                        .get(key)
                        .cloned()
                        .unwrap_or_default(),
                })
                .collect()
        })
        .collect();
    Table::new(&header, rows)
}

/// Letters, then after commas letters or keys: `ns4,limits.memory`.
fn columns(text: &str) -> Result<Vec<Column>> {
    let mut columns = Vec::new();
    for word in text.split(',') {
        if word.contains('.') {
            columns.push(Column {
                header: word.to_uppercase(),
                cell: Cell::Key(word.to_owned()),
            });
            continue;
        }
        for letter in word.chars() {
            let Some((header, cell)) = field(letter) else {
                bail!("there is no column `{letter}`: see `rlxc list --help`");
            };
            columns.push(Column {
                header: header.to_owned(),
                cell: Cell::Field(cell),
            });
        }
    }
    Ok(columns)
}

type Field = fn(&InstanceFull) -> String;

fn field(letter: char) -> Option<(&'static str, Field)> {
    Some(match letter {
        'n' => ("NAME", |i| i.instance.name.clone()),
        's' => ("STATE", |i| i.instance.status.to_uppercase()),
        '4' => ("IPV4", |i| addresses(i.state.as_ref(), "inet")),
        '6' => ("IPV6", |i| addresses(i.state.as_ref(), "inet6")),
        't' => ("TYPE", |i| {
            let ephemeral = if i.instance.put.ephemeral {
                " (EPHEMERAL)"
            } else {
                ""
            };
            format!("{}{ephemeral}", i.instance.kind.to_uppercase())
        }),
        'S' => ("SNAPSHOTS", |i| {
            i.snapshots.as_ref().map_or(0, Vec::len).to_string()
        }),
        'a' => ("ARCHITECTURE", |i| i.instance.put.architecture.clone()),
        'c' => ("CREATED AT", |i| render::short_time(&i.instance.created_at)),
        'd' => ("DESCRIPTION", |i| i.instance.put.description.clone()),
        'l' => ("LAST USED AT", |i| {
            render::short_time(&i.instance.last_used_at)
        }),
        'p' => ("PID", |i| of_running(i, |state| state.pid.to_string())),
        'P' => ("PROFILES", |i| {
            i.instance
                .put
                .profiles
                .clone()
                .unwrap_or_default()
                .join("\n")
        }),
        'e' => ("PROJECT", |i| i.instance.project.clone()),
        'm' => ("MEMORY USAGE", |i| {
            of_running(i, |state| render::bytes(state.memory.usage))
        }),
        'D' => ("DISK USAGE", |i| {
            i.state
                .as_ref()
                .and_then(|state| state.disk.get("root"))
                .map_or_else(String::new, |root| render::bytes(root.usage))
        }),
        'N' => ("PROCESSES", |i| {
            of_running(i, |state| state.processes.to_string())
        }),
        'u' => ("CPU USAGE", |i| {
            of_running(i, |state| format!("{}s", state.cpu.usage / 1_000_000_000))
        }),
        'f' => ("BASE IMAGE", |i| {
            let image = i
                .instance
                .put
                .config
                .get("volatile.base_image")
                .map_or("", String::as_str);
            image.chars().take(12).collect()
        }),
        'L' => ("LOCATION", |i| i.instance.location.clone()),
        'q' => ("EPHEMERAL", |i| render::yes(i.instance.put.ephemeral)),
        _ => return None,
    })
}

fn of_running(instance: &InstanceFull, value: fn(&InstanceState) -> String) -> String {
    instance
        .state
        .as_ref()
        .filter(|state| state.pid > 0)
        .map(value)
        .unwrap_or_default()
}

/// Addresses that others can reach, one a line: `10.1.2.3 (eth0)`.
fn addresses(state: Option<&InstanceState>, family: &str) -> String {
    let Some(state) = state else {
        return String::new();
    };
    let lines: Vec<String> = state
        .network
        .iter()
        .filter(|(_, nic)| nic.kind != "loopback")
        .flat_map(|(name, nic)| nic.addresses.iter().map(move |address| (name, address)))
        .filter(|(_, address)| address.family == family && address.scope == "global")
        .map(|(name, address)| format!("{} ({name})", address.address))
        .collect();
    lines.join("\n")
}

fn fits(instance: &InstanceFull, filter: &str) -> bool {
    let Some((key, value)) = filter.split_once('=') else {
        return instance.instance.name.starts_with(filter);
    };
    let instance = &instance.instance;
    let is = |field: &str| field.eq_ignore_ascii_case(value);
    match key {
        "name" => is(&instance.name),
        "state" | "status" => is(&instance.status),
        "type" => is(&instance.kind),
        "architecture" => is(&instance.put.architecture),
        "project" => is(&instance.project),
        "location" => is(&instance.location),
        "profile" | "profiles" => instance
            .put
            .profiles
            .iter()
            .flatten()
            .any(|profile| is(profile)),
        key => instance
            .expanded_config
            .get(key)
            .or_else(|| instance.put.config.get(key))
            .is_some_and(|set| set == value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rlxc_api::{InstanceStateNetwork, InstanceStateNetworkAddress};

    fn instance() -> InstanceFull {
        let mut full = InstanceFull::default();
        full.instance.name = "c1".into();
        full.instance.status = "Running".into();
        full.instance.kind = "container".into();
        full.instance
            .expanded_config
            .insert("user.owner".into(), "ann".into());
        let address = |family: &str, address: &str, scope: &str| InstanceStateNetworkAddress {
            family: family.into(),
            address: address.into(),
            scope: scope.into(),
            ..Default::default()
        };
        let eth0 = InstanceStateNetwork {
            addresses: vec![
                address("inet", "10.0.0.2", "global"),
                address("inet6", "fe80::1", "link"),
                address("inet6", "fd42::2", "global"),
            ],
            ..Default::default()
        };
        let state = InstanceState {
            network: [("eth0".to_owned(), eth0)].into(),
            ..Default::default()
        };
        full.state = Some(state);
        full
    }

    #[test]
    fn the_default_columns() {
        let columns = columns("ns46tS").unwrap();
        insta::assert_snapshot!(table(&columns, &[instance()]).bordered(), @r"
        +------+---------+-----------------+----------------+-----------+-----------+
        | NAME | STATE   | IPV4            | IPV6           | TYPE      | SNAPSHOTS |
        +------+---------+-----------------+----------------+-----------+-----------+
        | c1   | RUNNING | 10.0.0.2 (eth0) | fd42::2 (eth0) | CONTAINER | 0         |
        +------+---------+-----------------+----------------+-----------+-----------+
        ");
    }

    #[test]
    fn keys_are_columns_and_filters() {
        let columns = columns("n,user.owner").unwrap();
        assert_eq!(table(&columns, &[instance()]).csv(), "c1,ann\n");
        assert!(fits(&instance(), "user.owner=ann"));
        assert!(fits(&instance(), "c"));
        assert!(fits(&instance(), "state=running"));
        assert!(!fits(&instance(), "x"));
    }
}
