//! What is written to the inventory is what is read from it.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::db::{self, Db, DbError, instances, pools, profiles, snapshots};
use crate::model::{Config, Devices, Instance, Pool, Snapshot};

fn text() -> impl Strategy<Value = String> {
    any::<String>().prop_map(|text| text.replace('\0', ""))
}

fn config() -> impl Strategy<Value = Config> {
    proptest::collection::btree_map(text(), text(), 0..5)
}

/// A device without keys is none: it has no rows.
fn devices() -> impl Strategy<Value = Devices> {
    let keys = proptest::collection::btree_map(text(), text(), 1..4);
    proptest::collection::btree_map(text(), keys, 0..4)
}

fn instance() -> impl Strategy<Value = Instance> {
    let names = ("[a-z][a-z0-9-]{0,20}[a-z0-9]", text());
    let rest = (any::<bool>(), any::<Option<u32>>(), config(), devices());
    (names, rest).prop_map(
        |((name, description), (ephemeral, idmap_base, config, devices))| Instance {
            id: 0,
            project: "default".to_owned(),
            name,
            architecture: "x86_64".to_owned(),
            description,
            ephemeral,
            pool: "p".to_owned(),
            idmap_base,
            idmap_size: 65_536,
            created_at: "2026-01-01T00:00:00.000000Z".to_owned(),
            last_used_at: None,
            config,
            devices,
            profiles: vec!["default".to_owned(), "second".to_owned()],
            snapshots: Vec::new(),
        },
    )
}

fn snapshot(instance: &Instance) -> Snapshot {
    Snapshot {
        id: 0,
        name: "s1".to_owned(),
        description: instance.description.clone(),
        ephemeral: instance.ephemeral,
        created_at: instance.created_at.clone(),
        expires_at: None,
        config: instance.config.clone(),
        devices: instance.devices.clone(),
        profiles: instance.profiles.clone(),
    }
}

fn prepare(tx: &rusqlite::Transaction<'_>) -> Result<i64, DbError> {
    profiles::insert(tx, db::DEFAULT_PROJECT, "second")?;
    let pool = Pool {
        id: 0,
        name: "p".to_owned(),
        driver: "dir".to_owned(),
        description: String::new(),
        config: BTreeMap::new(),
    };
    pools::insert(tx, &pool)
}

/// Writes an instance with a snapshot and reads it; leaves nothing.
fn round(tx: &rusqlite::Transaction<'_>, mut written: Instance) -> Result<(), DbError> {
    let pool = prepare(tx)?;
    written.id = instances::insert(tx, db::DEFAULT_PROJECT, pool, &written)?;
    let mut taken = snapshot(&written);
    taken.id = snapshots::insert(tx, written.id, &taken)?;
    written.snapshots.push(taken);
    let read = instances::find(tx, db::DEFAULT_PROJECT, &written.name)?;
    assert_eq!(read.as_ref(), Some(&written));
    let reversed = written.profiles.iter().rev().cloned().collect();
    written.profiles = reversed;
    instances::update(tx, db::DEFAULT_PROJECT, &written)?;
    let read = instances::list(tx, None)?;
    assert_eq!(read, [written.clone()]);
    instances::delete(tx, written.id)?;
    assert_eq!(instances::find_by_id(tx, written.id)?, None);
    // Nothing of it is kept: the transaction is given up.
    Err(DbError::Closed)
}

#[test]
fn an_instance_survives_the_inventory() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let db = Db::in_memory().unwrap();
    proptest!(ProptestConfig::with_cases(64), |(instance in instance())| {
        let result = runtime.block_on(db.note(move |tx| round(tx, instance)));
        // Closed is what gave it up; a thread that panicked would be gone for the next one.
        prop_assert!(matches!(result, Err(DbError::Closed)), "{result:?}");
    });
    let left = runtime.block_on(db.read(|tx| instances::list(tx, None)));
    assert!(left.unwrap().is_empty());
}
