//! Statements that a person types: for a look at the inventory, and for its repair.

use std::fmt::Write as _;

use rlxc_api::SqlResult;
use rusqlite::fallible_iterator::FallibleIterator as _;
use rusqlite::types::ValueRef;
use rusqlite::{Batch, Connection, Statement};
use serde_json::Value;

use super::DbError;

/// Runs statements one after another.
pub fn run(connection: &Connection, text: &str) -> Result<Vec<SqlResult>, DbError> {
    let mut results = Vec::new();
    let mut batch = Batch::new(connection, text);
    while let Some(mut statement) = batch.next()? {
        results.push(if statement.column_count() > 0 {
            select(&mut statement)?
        } else {
            let rows_affected = statement.execute([])? as u64;
            SqlResult {
                kind: "exec".to_owned(),
                rows_affected,
                ..SqlResult::default()
            }
        });
    }
    Ok(results)
}

fn select(statement: &mut Statement<'_>) -> Result<SqlResult, DbError> {
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut rows = Vec::new();
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let cells = (0..columns.len()).map(|index| row.get_ref(index).map(json));
        rows.push(cells.collect::<Result<_, _>>()?);
    }
    Ok(SqlResult {
        kind: "select".to_owned(),
        columns,
        rows,
        rows_affected: 0,
    })
}

fn json(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) => number.into(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            String::from_utf8_lossy(bytes).into_owned().into()
        }
    }
}

/// Statements that make the database again, or only its tables; see `.dump` and `.schema` of sqlite3(1).
pub fn dump(connection: &Connection, only_schema: bool) -> Result<String, DbError> {
    let mut text = String::from("PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n");
    let mut objects = connection.prepare(
        "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' \
         ORDER BY type = 'table' DESC, rowid",
    )?;
    let mut objects = objects.query([])?;
    while let Some(object) = objects.next()? {
        let (kind, name, sql): (String, String, String) =
            (object.get(0)?, object.get(1)?, object.get(2)?);
        // Writing to a String can't fail.
        let _written = writeln!(text, "{sql};").is_ok();
        if kind == "table" && !only_schema {
            rows(connection, &name, &mut text)?;
        }
    }
    text.push_str("COMMIT;\n");
    Ok(text)
}

fn rows(connection: &Connection, table: &str, text: &mut String) -> Result<(), DbError> {
    let table = table.replace('"', "\"\"");
    let empty = connection.prepare(&format!("SELECT * FROM \"{table}\" LIMIT 0"))?;
    let columns = empty.column_names();
    let columns = columns
        .map(|name| format!("quote(\"{}\")", name.replace('"', "\"\"")))
        .collect::<Vec<_>>();
    let mut all = connection.prepare(&format!(
        "SELECT {} FROM \"{table}\"",
        columns.join(" || ',' || ")
    ))?;
    let mut all = all.query([])?;
    while let Some(row) = all.next()? {
        let values: String = row.get(0)?;
        let _written = writeln!(text, "INSERT INTO \"{table}\" VALUES({values});").is_ok();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn connection() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        run(
            &connection,
            "CREATE TABLE t (a INTEGER, b TEXT); CREATE INDEX i ON t (a); INSERT INTO t VALUES (1, 'it''s'), (2, NULL)",
        )
        .unwrap();
        connection
    }

    #[test]
    fn statements_run_one_after_another() {
        let results = run(&connection(), "UPDATE t SET a = a + 1; SELECT * FROM t;").unwrap();
        let [update, select] = &results[..] else {
            panic!("{results:?}")
        };
        assert_eq!((update.kind.as_str(), update.rows_affected), ("exec", 2));
        assert_eq!(select.columns, ["a", "b"]);
        let rows = json!([[2, "it's"], [3, null]]);
        assert_eq!(json!(select.rows), rows);
        run(&connection(), "SELECT nothing").unwrap_err();
    }

    #[test]
    fn a_dump_makes_the_same_again() {
        let first = connection();
        let text = dump(&first, false).unwrap();
        let second = Connection::open_in_memory().unwrap();
        second.execute_batch(&text).unwrap();
        assert_eq!(dump(&second, false).unwrap(), text);
        assert!(!dump(&first, true).unwrap().contains("INSERT"));
    }
}
