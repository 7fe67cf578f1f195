//! Tables: with lines, without, and as CSV.

/// Rows under a header; a cell may have several lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<H: AsRef<str>>(header: &[H], rows: Vec<Vec<String>>) -> Self {
        Self {
            header: header.iter().map(|cell| cell.as_ref().to_owned()).collect(),
            rows,
        }
    }

    /// With a column more, before all others.
    pub(crate) fn beginning_with<'a>(
        mut self,
        header: &str,
        cells: impl Iterator<Item = &'a str>,
    ) -> Self {
        self.header.insert(0, header.to_owned());
        for (row, cell) in self.rows.iter_mut().zip(cells) {
            row.insert(0, cell.to_owned());
        }
        self
    }

    /// With lines around the cells.
    pub(crate) fn bordered(&self) -> String {
        let widths = self.widths();
        let dashes: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
        let rule = format!("+{}+", dashes.join("+"));
        let mut text = vec![rule.clone()];
        for cells in std::iter::once(&self.header).chain(&self.rows) {
            text.extend(
                lines(cells, &widths)
                    .iter()
                    .map(|line| format!("| {} |", line.join(" | "))),
            );
            text.push(rule.clone());
        }
        text.join("\n") + "\n"
    }

    /// Without lines.
    pub(crate) fn compact(&self) -> String {
        let widths = self.widths();
        let text: Vec<String> = std::iter::once(&self.header)
            .chain(&self.rows)
            .flat_map(|cells| lines(cells, &widths))
            .map(|line| line.join("  ").trim_end().to_owned())
            .collect();
        text.join("\n") + "\n"
    }

    /// Comma-separated values without the header, RFC 4180.
    pub(crate) fn csv(&self) -> String {
        self.rows
            .iter()
            .map(|row| {
                row.iter()
                    .map(|cell| quote(cell))
                    .collect::<Vec<_>>()
                    .join(",")
                    + "\n"
            })
            .collect()
    }

    fn widths(&self) -> Vec<usize> {
        (0..self.header.len())
            .map(|column| {
                std::iter::once(&self.header)
                    .chain(&self.rows)
                    .filter_map(|row| row.get(column))
                    .flat_map(|cell| cell.lines())
                    .map(|line| line.chars().count())
                    .max()
                    .unwrap_or(0)
            })
            .collect()
    }
}

/// The lines of a row, each cell padded to its column.
fn lines(cells: &[String], widths: &[usize]) -> Vec<Vec<String>> {
    let height = cells
        .iter()
        .map(|cell| cell.lines().count())
        .max()
        .unwrap_or(1)
        .max(1);
    (0..height)
        .map(|line| {
            widths
                .iter()
                .enumerate()
                .map(|(column, width)| {
                    let text = cells
                        .get(column)
                        .and_then(|cell| cell.lines().nth(line))
                        .unwrap_or("");
                    format!("{text:<width$}")
                })
                .collect()
        })
        .collect()
}

fn quote(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table::new(
            &["NAME", "IPV4"],
            vec![
                vec!["c1".into(), "10.0.0.2 (eth0)\n10.1.0.2 (eth1)".into()],
                vec!["long-name, é".into(), String::new()],
            ],
        )
    }

    #[test]
    fn bordered() {
        insta::assert_snapshot!(table().bordered(), @r"
        +--------------+-----------------+
        | NAME         | IPV4            |
        +--------------+-----------------+
        | c1           | 10.0.0.2 (eth0) |
        |              | 10.1.0.2 (eth1) |
        +--------------+-----------------+
        | long-name, é |                 |
        +--------------+-----------------+
        ");
    }

    #[test]
    fn compact() {
        insta::assert_snapshot!(table().compact(), @r"
        NAME          IPV4
        c1            10.0.0.2 (eth0)
                      10.1.0.2 (eth1)
        long-name, é
        ");
    }

    #[test]
    fn csv() {
        insta::assert_snapshot!(table().csv(), @r#"
        c1,"10.0.0.2 (eth0)
        10.1.0.2 (eth1)"
        "long-name, é",
        "#);
    }
}
