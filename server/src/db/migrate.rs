//! Brings a database to the newest schema: numbered files, append-only, each in a transaction of its own.

use std::path::Path;

use rusqlite::Connection;

use super::DbError;

/// All migrations in order; the first brings a new file to version 1.
pub const MIGRATIONS: &[&str] = &[
    include_str!("../../../migrations/0001_initial.sql"),
    include_str!("../../../migrations/0002_trust.sql"),
    include_str!("../../../migrations/0003_backups.sql"),
    include_str!("../../../migrations/0004_network_rules.sql"),
    include_str!("../../../migrations/0005_storage.sql"),
    include_str!("../../../migrations/0006_images.sql"),
    include_str!("../../../migrations/0007_idmap.sql"),
    include_str!("../../../migrations/0008_volume_backups.sql"),
    include_str!("../../../migrations/0009_descriptions.sql"),
    include_str!("../../../migrations/0010_network_zones.sql"),
];

/// Applies what is missing. A copy of the old file is kept beside it before anything changes.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), DbError> {
    let version = version(connection)?;
    if version > MIGRATIONS.len() {
        return Err(DbError::Newer {
            path: path.to_owned(),
            found: version,
            known: MIGRATIONS.len(),
        });
    }
    if version > 0 && version < MIGRATIONS.len() {
        let copy = path.with_extension(format!("db.v{version}"));
        connection.backup("main", &copy, None::<fn(rusqlite::backup::Progress)>)?;
    }
    for (index, sql) in MIGRATIONS.iter().enumerate().skip(version) {
        let tx = connection.transaction()?;
        tx.execute_batch(sql).map_err(|source| DbError::Migrate {
            version: index + 1,
            source,
        })?;
        tx.pragma_update(
            None,
            "user_version",
            i64::try_from(index + 1).unwrap_or(i64::MAX),
        )?;
        tx.commit()?;
    }
    Ok(())
}

fn version(connection: &Connection) -> Result<usize, DbError> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    // Nobody writes a negative version; one that is there belongs to something else, and newer than all of ours.
    Ok(usize::try_from(version).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_database_of_a_newer_version() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        let error = migrate(&mut connection, Path::new("/db")).unwrap_err();
        assert!(matches!(error, DbError::Newer { found: 99, .. }), "{error}");
    }

    #[test]
    fn migrates_twice_without_harm() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, Path::new("/db")).unwrap();
        migrate(&mut connection, Path::new("/db")).unwrap();
        let profiles: i64 = connection
            .query_row("SELECT count(*) FROM profiles", [], |row| row.get(0))
            .unwrap();
        assert_eq!(profiles, 1);
    }
}
