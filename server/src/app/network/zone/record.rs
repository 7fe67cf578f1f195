//! Records of zones that users write: the use cases of `/1.0/network-zones/{zone}/records`.

use std::collections::HashSet;

use rlxc_api::{
    NetworkZoneRecord as RecordView, NetworkZoneRecordPut, NetworkZoneRecordsPost, Requestor,
};
use rlxc_network::authority::{ZoneRecord, check_record};

use super::{find as find_zone, taken};
use crate::context::App;
use crate::db::network_zones;
use crate::error::{Error, Result};
use crate::keys;
use crate::model::{NetworkZone, NetworkZoneRecord};

/// How long a record is remembered that says nothing of it.
const TTL: u32 = 300;
/// RFC 2181, section 8.
const LONGEST_TTL: u64 = (1 << 31) - 1;

/// The URL of a record.
pub fn url(zone: &str, name: &str) -> String {
    format!("{}/records/{name}", super::url(zone))
}

/// All records of a zone that users wrote.
pub async fn list(app: &App, project: &str, zone: &str) -> Result<Vec<RecordView>> {
    let id = find_zone(app, project, zone).await?.id;
    let rows = app
        .db
        .read(move |tx| network_zones::list_records(tx, id))
        .await?;
    Ok(rows.into_iter().map(render).collect())
}

/// One record.
pub async fn get(app: &App, project: &str, zone: &str, name: &str) -> Result<RecordView> {
    let zone = find_zone(app, project, zone).await?;
    find(app, &zone, name).await.map(render)
}

/// Makes a record.
pub async fn create(
    app: &App,
    who: &Requestor,
    project: &str,
    zone: &str,
    post: NetworkZoneRecordsPost,
) -> Result<()> {
    let zone = find_zone(app, project, zone).await?;
    let record = NetworkZoneRecord {
        zone: zone.id,
        name: post.name.clone(),
        description: post.put.description,
        config: post.put.config,
        entries: post.put.entries,
        ..NetworkZoneRecord::default()
    };
    check(&zone, &record)?;
    app.db
        .write(move |tx| {
            network_zones::insert_record(tx, &record)
                .map_err(|error| taken(error, "record", &record.name))
        })
        .await?;
    let url = url(&zone.name, &post.name);
    app.project_event(
        "network-zone-record-created",
        (&zone.project, &post.name),
        url,
        who,
    );
    Ok(())
}

/// Replaces all that a user may write.
pub async fn update(
    app: &App,
    who: &Requestor,
    (project, zone, name): (&str, &str, &str),
    put: NetworkZoneRecordPut,
) -> Result<()> {
    let zone = find_zone(app, project, zone).await?;
    let record = NetworkZoneRecord {
        description: put.description,
        config: put.config,
        entries: put.entries,
        ..find(app, &zone, name).await?
    };
    check(&zone, &record)?;
    app.db
        .write(move |tx| network_zones::update_record(tx, &record).map_err(Error::from))
        .await?;
    let url = url(&zone.name, name);
    app.project_event(
        "network-zone-record-updated",
        (&zone.project, name),
        url,
        who,
    );
    Ok(())
}

/// Deletes a record.
pub async fn delete(
    app: &App,
    who: &Requestor,
    (project, zone, name): (&str, &str, &str),
) -> Result<()> {
    let zone = find_zone(app, project, zone).await?;
    let id = find(app, &zone, name).await?.id;
    app.db
        .write(move |tx| network_zones::delete_record(tx, id).map_err(Error::from))
        .await?;
    let url = url(&zone.name, name);
    app.project_event(
        "network-zone-record-deleted",
        (&zone.project, name),
        url,
        who,
    );
    Ok(())
}

fn check(zone: &NetworkZone, record: &NetworkZoneRecord) -> Result<()> {
    keys::zone::RECORD
        .check(&record.config)
        .map_err(Error::Invalid)?;
    // One without entries says nothing, but its name has to be one.
    let placeholder = ZoneRecord {
        name: record.name.clone(),
        ttl: TTL,
        kind: "TXT".to_owned(),
        value: "x".to_owned(),
    };
    let wrong = |why: String| Error::Invalid(format!("record `{}`: {why}", record.name));
    check_record(&zone.name, &placeholder).map_err(|error| wrong(error.to_string()))?;
    // RFC 1034, section 3.6.2.
    let is_alias = |kind: &str| kind.eq_ignore_ascii_case("CNAME");
    if record.entries.len() > 1 && record.entries.iter().any(|entry| is_alias(&entry.kind)) {
        return Err(wrong(
            "a CNAME stands alone: whoever looks for something else looks at the name that it gives"
                .to_owned(),
        ));
    }
    let mut seen = HashSet::new();
    for (entry, given) in entries(record).iter().zip(&record.entries) {
        check_record(&zone.name, entry).map_err(|error| wrong(error.to_string()))?;
        if given.ttl > LONGEST_TTL {
            return Err(wrong(format!(
                "ttl {} is too long: {LONGEST_TTL} seconds at most",
                given.ttl
            )));
        }
        if !seen.insert((entry.kind.to_uppercase(), &entry.value)) {
            return Err(wrong(format!(
                "it has the entry `{} {}` twice",
                entry.kind, entry.value
            )));
        }
    }
    Ok(())
}

/// The entries of a record as the zone has them.
pub(super) fn entries(record: &NetworkZoneRecord) -> Vec<ZoneRecord> {
    let all = record.entries.iter().map(|entry| ZoneRecord {
        name: record.name.clone(),
        ttl: u32::try_from(entry.ttl)
            .ok()
            .filter(|ttl| *ttl > 0)
            .unwrap_or(TTL),
        kind: entry.kind.clone(),
        value: entry.value.clone(),
    });
    all.collect()
}

async fn find(app: &App, zone: &NetworkZone, name: &str) -> Result<NetworkZoneRecord> {
    let id = zone.id;
    let rows = app
        .db
        .read(move |tx| network_zones::list_records(tx, id))
        .await?;
    rows.into_iter()
        .find(|record| record.name == name)
        .ok_or_else(|| Error::not_found("record", name))
}

fn render(record: NetworkZoneRecord) -> RecordView {
    RecordView {
        put: NetworkZoneRecordPut {
            description: record.description,
            entries: record.entries,
            config: record.config,
        },
        name: record.name,
    }
}

#[cfg(test)]
mod tests {
    use rlxc_api::NetworkZoneRecordEntry;

    use super::*;

    #[test]
    fn an_alias_stands_alone() {
        let zone = NetworkZone {
            name: "lab.example".to_owned(),
            ..NetworkZone::default()
        };
        let entry = |kind: &str, value: &str| NetworkZoneRecordEntry {
            kind: kind.to_owned(),
            value: value.to_owned(),
            ..NetworkZoneRecordEntry::default()
        };
        let record = |entries| NetworkZoneRecord {
            name: "www".to_owned(),
            entries,
            ..NetworkZoneRecord::default()
        };
        let alias = entry("cname", "web.lab.example.");
        check(&zone, &record(vec![alias.clone()])).unwrap();
        let two = record(vec![entry("A", "192.0.2.1"), alias]);
        let error = check(&zone, &two).unwrap_err().to_string();
        assert!(
            error.contains("`www`") && error.contains("CNAME"),
            "{error}"
        );
    }
}
