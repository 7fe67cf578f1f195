//! `network zone`.

use anyhow::{Result, ensure};
use rlxc_api::{
    NetworkZone, NetworkZonePut, NetworkZoneRecord, NetworkZoneRecordEntry, NetworkZoneRecordPut,
    NetworkZoneRecordsPost, NetworkZonesPost,
};

use super::{keys, object};
use crate::cli::{CreateOf, EntryVerb, NameArgs, RecordArgs, RecordVerb, ZoneVerb};
use crate::context::Context;
use crate::document;
use crate::render::Table;

const ALL: &str = "/1.0/network-zones";

fn path(name: &str) -> String {
    object("network-zones", name)
}

fn records(zone: &str) -> String {
    format!("{}/records", path(zone))
}

fn record_path(args: &RecordArgs) -> String {
    let name = object("", &args.record);
    let name = name.rsplit('/').next().unwrap_or_default().to_owned();
    format!("{}/{name}", records(&args.zone))
}

pub(crate) async fn run(context: &Context, verb: ZoneVerb) -> Result<()> {
    match verb {
        ZoneVerb::List(args) => {
            context
                .list_of_projects(ALL, &args, table, |item| &item.project)
                .await
        }
        ZoneVerb::Show(args) => {
            context.yaml(&context.client.get::<NetworkZone>(&path(&args.name)).await?)
        }
        ZoneVerb::Create(args) => create(context, args).await,
        ZoneVerb::Delete(args) => {
            for name in &args.names {
                context.client.delete(&path(name)).await?;
            }
            Ok(())
        }
        ZoneVerb::Get(args) => keys::get(context, &path(&args.name), "config", &args.key).await,
        ZoneVerb::Set(args) => {
            keys::set(context, &path(&args.name), keys::pairs(&args.words)?).await
        }
        ZoneVerb::Unset(args) => keys::unset(context, &path(&args.name), &args.key).await,
        ZoneVerb::Edit(args) => {
            keys::edit::<NetworkZonePut>(context, &path(&args.name), "A network zone.").await
        }
        ZoneVerb::Record(verb) => record(context, verb).await,
    }
}

async fn create(context: &Context, args: CreateOf<NameArgs>) -> Result<()> {
    let given = document::given::<NetworkZonePut, NetworkZone>(&context.printer)?;
    let mut put = given.unwrap_or_default();
    put.config.extend(keys::map(args.keys));
    if let Some(description) = args.description {
        put.description = description;
    }
    let body = NetworkZonesPost {
        put,
        name: args.of.name,
    };
    context.client.post(ALL, &body).await?;
    Ok(())
}

async fn create_record(context: &Context, args: CreateOf<RecordArgs>) -> Result<()> {
    let given = document::given::<NetworkZoneRecordPut, NetworkZoneRecord>(&context.printer)?;
    let mut put = given.unwrap_or_default();
    put.config.extend(keys::map(args.keys));
    if let Some(description) = args.description {
        put.description = description;
    }
    let body = NetworkZoneRecordsPost {
        put,
        name: args.of.record,
    };
    context.client.post(&records(&args.of.zone), &body).await?;
    Ok(())
}

async fn record(context: &Context, verb: RecordVerb) -> Result<()> {
    match verb {
        RecordVerb::List(args) => {
            let url = format!("{}?recursion=1", records(&args.zone));
            let all: Vec<NetworkZoneRecord> = context.client.get(&url).await?;
            context.list(args.format.format, &all, || record_table(&all))
        }
        RecordVerb::Show(args) => {
            let path = record_path(&args);
            context.yaml(&context.client.get::<NetworkZoneRecord>(&path).await?)
        }
        RecordVerb::Create(args) => create_record(context, args).await,
        RecordVerb::Delete(args) => {
            context.client.delete(&record_path(&args)).await?;
            Ok(())
        }
        RecordVerb::Get(args) => {
            keys::get(context, &record_path(&args.of), "config", &args.key).await
        }
        RecordVerb::Set(args) => {
            keys::set(context, &record_path(&args.of), keys::pairs(&args.words)?).await
        }
        RecordVerb::Unset(args) => keys::unset(context, &record_path(&args.of), &args.key).await,
        RecordVerb::Edit(args) => {
            keys::edit::<NetworkZoneRecordPut>(context, &record_path(&args), "A record.").await
        }
        RecordVerb::Entry(verb) => entry(context, verb).await,
    }
}

async fn entry(context: &Context, verb: EntryVerb) -> Result<()> {
    match verb {
        EntryVerb::Add(args) => {
            let new = NetworkZoneRecordEntry {
                kind: args.entry.kind,
                ttl: args.ttl.unwrap_or(0),
                value: args.entry.value,
            };
            let add = |entries: &mut Vec<_>| {
                entries.push(new);
                Ok(())
            };
            change(context, &args.entry.record, add).await
        }
        EntryVerb::Remove(args) => {
            let is_meant = |entry: &NetworkZoneRecordEntry| {
                entry.kind.eq_ignore_ascii_case(&args.kind) && entry.value == args.value
            };
            let remove = |entries: &mut Vec<_>| {
                let before = entries.len();
                entries.retain(|entry| !is_meant(entry));
                ensure!(entries.len() < before, "the record has no such entry");
                Ok(())
            };
            change(context, &args.record, remove).await
        }
    }
}

async fn change(
    context: &Context,
    record: &RecordArgs,
    edit: impl FnOnce(&mut Vec<NetworkZoneRecordEntry>) -> Result<()>,
) -> Result<()> {
    let path = record_path(record);
    let mut tagged = context
        .client
        .get_tagged::<NetworkZoneRecord>(&path)
        .await?;
    edit(&mut tagged.value.put.entries)?;
    let etag = tagged.etag.as_deref();
    context.client.put(&path, &tagged.value.put, etag).await?;
    Ok(())
}

fn table(zones: &[NetworkZone]) -> Table {
    let row = |zone: &NetworkZone| {
        vec![
            zone.name.clone(),
            zone.put.description.clone(),
            zone.used_by.len().to_string(),
        ]
    };
    Table::new(
        &["NAME", "DESCRIPTION", "USED BY"],
        zones.iter().map(row).collect(),
    )
}

fn record_table(records: &[NetworkZoneRecord]) -> Table {
    let row = |record: &NetworkZoneRecord| {
        let entries = record.put.entries.iter();
        let entries: Vec<String> = entries
            .map(|entry| format!("{} {}", entry.kind, entry.value))
            .collect();
        vec![
            record.name.clone(),
            record.put.description.clone(),
            entries.join("\n"),
        ]
    };
    Table::new(
        &["NAME", "DESCRIPTION", "ENTRIES"],
        records.iter().map(row).collect(),
    )
}
