//! What `--columns` says: letters, and keys of the configuration or of devices, `[config:|devices:]KEY[:NAME[:WIDTH]]`.

use anyhow::{Context as _, Result, bail};
use rlxc_api::InstanceFull;

use super::field::{Field, field};
use crate::render::Table;

/// A column: its header, and a cell of an instance.
#[derive(Debug)]
pub(super) struct Column {
    header: String,
    cell: Cell,
    /// Characters beyond which a cell is cut.
    width: Option<usize>,
}

#[derive(Debug)]
enum Cell {
    Field(Field),
    Config(String),
    Device(String, String),
}

impl Column {
    fn cell(&self, instance: &InstanceFull) -> String {
        let found = |value: Option<&String>| value.cloned().unwrap_or_default();
        let text = match &self.cell {
            Cell::Field(field) => field(instance),
            Cell::Config(key) => found(instance.instance.expanded_config.get(key)),
            Cell::Device(device, key) => {
                let device = instance.instance.expanded_devices.get(device);
                found(device.and_then(|device| device.get(key)))
            }
        };
        match self.width {
            Some(width) => text.chars().take(width).collect(),
            None => text,
        }
    }
}

/// Letters, then after commas letters or keys: `ns4,limits.memory:MEM:8,devices:eth0.parent`.
pub(super) fn parse(text: &str) -> Result<Vec<Column>> {
    let mut columns = Vec::new();
    for word in text.split(',').filter(|word| !word.is_empty()) {
        if word.contains(['.', ':']) {
            columns.push(key_column(word)?);
            continue;
        }
        for letter in word.chars() {
            let Some((header, cell)) = field(letter) else {
                bail!("there is no column `{letter}`: see `rlxc list --help`");
            };
            columns.push(Column {
                header: header.to_owned(),
                cell: Cell::Field(cell),
                width: None,
            });
        }
    }
    if columns.is_empty() {
        bail!("`--columns` names no column: see `rlxc list --help`");
    }
    Ok(columns)
}

fn key_column(word: &str) -> Result<Column> {
    let (rest, of_device) = match word.split_once(':') {
        Some(("config", rest)) => (rest, false),
        Some(("devices", rest)) => (rest, true),
        _ => (word, false),
    };
    let mut parts = rest.splitn(3, ':');
    let key = parts.next().unwrap_or_default();
    let name = parts.next().filter(|name| !name.is_empty());
    let header = name.map_or_else(|| key.to_uppercase(), str::to_owned);
    let cell = if of_device {
        let (device, key) = key.split_once('.').with_context(|| {
            format!("column `{word}` names no key of a device: write devices:DEVICE.KEY")
        })?;
        Cell::Device(device.to_owned(), key.to_owned())
    } else {
        Cell::Config(key.to_owned())
    };
    let width = match parts.next() {
        None | Some("" | "-1") => None,
        Some("0") => Some(header.chars().count()),
        Some(number) => Some(number.parse().with_context(|| {
            format!("column `{word}` has the width `{number}`, which is not a number")
        })?),
    };
    Ok(Column {
        header,
        cell,
        width,
    })
}

/// The table of all instances.
pub(super) fn table(columns: &[Column], instances: &[InstanceFull]) -> Table {
    let header: Vec<&str> = columns
        .iter()
        .map(|column| column.header.as_str())
        .collect();
    let rows = instances
        .iter()
        .map(|instance| columns.iter().map(|column| column.cell(instance)).collect())
        .collect();
    Table::new(&header, rows)
}
