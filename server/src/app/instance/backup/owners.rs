//! Whose ids the files of a backup have. Where the server that made it has no idmapped mounts, they are ids of its host.

use rlxc_api::{Instance, InstanceSnapshot};
use rlxc_storage::backup::{BackupIndex, BackupReader, Tree};
use rlxc_sys::idmap::{IdMap, IdRange};
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::model::Config;

/// The key in which LXD keeps the map of what is on disk, of an instance and of each snapshot; empty where that is not shifted.
const ON_DISK: &str = "volatile.last_state.idmap";

/// A range of ids as that key has it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    isuid: bool,
    isgid: bool,
    hostid: u32,
    nsid: u32,
    maprange: u32,
}

/// Has the files of a backup unpacked as the instance sees them. Refuses one in which that can't be done.
pub(super) fn unshift(reader: &mut BackupReader) -> Result<()> {
    let shifted = shifted(reader.index())?;
    if reader.index().optimized && !shifted.is_empty() {
        return Err(Error::Invalid(
            "in this backup files belong to ids of another host: export it without `--optimized-storage`"
                .to_owned(),
        ));
    }
    for (tree, map) in shifted {
        reader.unshift(tree, map);
    }
    Ok(())
}

/// The parts whose owners are ids of a host.
fn shifted(index: &BackupIndex) -> Result<Vec<(Tree, IdMap)>> {
    let Some(config) = &index.config else {
        return Ok(Vec::new());
    };
    let main = |view: &Instance| (Tree::Main, map_of(&view.put.config));
    // Old servers put the instance's name before that of a snapshot.
    let own_name = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
    let snapshot =
        |row: &InstanceSnapshot| (Tree::Snapshot(own_name(&row.name)), map_of(&row.config));
    let parts = config.container.iter().map(main);
    let parts = parts.chain(config.snapshots.iter().map(snapshot));
    parts
        .filter_map(|(tree, map)| match map {
            Ok(map) => map.map(|map| Ok((tree, map))),
            Err(wrong) => Some(Err(Error::Invalid(format!(
                "the index of the backup has a `{ON_DISK}` that makes no sense: {wrong}"
            )))),
        })
        .collect()
}

fn map_of(config: &Config) -> Result<Option<IdMap>, String> {
    let Some(text) = config.get(ON_DISK).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let entries: Option<Vec<Entry>> =
        serde_json::from_str(text).map_err(|error| error.to_string())?;
    let entries = entries.unwrap_or_default();
    let is_whole = |entry: &Entry| {
        let ends = |first: u32| first.checked_add(entry.maprange).is_some();
        ends(entry.hostid) && ends(entry.nsid)
    };
    if !entries.iter().all(is_whole) {
        return Err("a range has no end".to_owned());
    }
    let ranges = |of: fn(&Entry) -> bool| -> Vec<IdRange> {
        let chosen = entries.iter().filter(|entry| of(entry));
        let range = |entry: &Entry| IdRange {
            container: entry.nsid,
            host: entry.hostid,
            count: entry.maprange,
        };
        chosen.map(range).collect()
    };
    Ok((!entries.is_empty()).then(|| IdMap {
        uid: ranges(|entry| entry.isuid),
        gid: ranges(|entry| entry.isgid),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(text: &str) -> Result<Option<IdMap>, String> {
        map_of(&Config::from([(ON_DISK.to_owned(), text.to_owned())]))
    }

    #[test]
    fn a_map_of_lxd_is_read() {
        let text = r#"[{"Isuid":true,"Isgid":false,"Hostid":100000,"Nsid":0,"Maprange":65536},
            {"Isuid":false,"Isgid":true,"Hostid":200000,"Nsid":0,"Maprange":65536}]"#;
        let read = map(text).unwrap().unwrap();
        assert_eq!(read.container_uid(100_033), Some(33));
        assert_eq!(read.container_gid(200_033), Some(33));
        assert_eq!(read.container_gid(100_033), None);
        for unshifted in ["", "[]", "null"] {
            assert_eq!(map(unshifted), Ok(None), "{unshifted}");
        }
        let endless = text.replace("65536", "4294967295");
        for bad in ["{", "[1]", &endless, &text.replace("100000", "-1")] {
            assert!(map(bad).is_err(), "{bad}");
        }
    }
}
