//! The host ids of an instance: settled when it is made, and again at a start if its keys want others by then. On disk owners
//! are those that the instance sees, so nothing else has to change.

use rusqlite::Transaction;

use crate::context::App;
use crate::db::instances;
use crate::error::{Error, Result};
use crate::model::{Config, Instance};
use crate::plan::idmap::{self, Span, Wanted};

/// The keys that ids depend on.
const KEYS: [&str; 4] = [
    "raw.idmap",
    "security.idmap.base",
    "security.idmap.size",
    "security.privileged",
];
const RAW: &str = "raw.idmap";
/// The number of no instance.
const NO_ROW: i64 = 0;

/// Gives an instance that has no row yet the ids that its keys want.
pub fn settle(
    tx: &Transaction<'_>,
    ranges: &[Span],
    instance: &mut Instance,
    config: &Config,
) -> Result<()> {
    // A number that it brings along may be another's here.
    settle_among(&taken(tx, NO_ROW)?, ranges, instance, config)
}

fn settle_among(
    taken: &[Taken],
    ranges: &[Span],
    instance: &mut Instance,
    config: &Config,
) -> Result<()> {
    let Some(wanted) = unsettled(instance, config)? else {
        return Ok(());
    };
    let first = if let Some(base) = wanted.base {
        fixed(base, wanted.size, ranges, taken)?
    } else {
        let taken = taken.iter().map(|other| other.span);
        let taken: Vec<Span> = taken.chain(shared(config)).collect();
        idmap::pick(ranges, &taken, wanted.size).ok_or_else(no_ids)?
    };
    (instance.idmap_base, instance.idmap_size) = (Some(first), wanted.size);
    Ok(())
}

/// Refuses, before they are written, keys whose ids a start would refuse. Where none of them changes nothing is asked.
pub(super) fn check_change(
    tx: &Transaction<'_>,
    ranges: &[Span],
    instance: &Instance,
    (before, after): (&Config, &Config),
) -> Result<()> {
    if KEYS.iter().all(|key| before.get(*key) == after.get(*key)) {
        return Ok(());
    }
    check(tx, ranges, instance, after)
}

/// Refuses ids that are another instance's, and those that can't be mapped. Changes nothing.
pub(super) fn check(
    tx: &Transaction<'_>,
    ranges: &[Span],
    instance: &Instance,
    config: &Config,
) -> Result<()> {
    let taken = taken(tx, instance.id)?;
    let mut draft = instance.clone();
    settle_among(&taken, ranges, &mut draft, config)?;
    if idmap::map(&draft, config)
        .map_err(Error::Invalid)?
        .is_none()
    {
        return Ok(());
    }
    for span in shared(config) {
        let other = taken
            .iter()
            .find(|other| other.is_range && other.span.overlaps(span));
        if let Some(other) = other {
            return Err(Error::Conflict(format!(
                "`raw.idmap`: the host's ids from {} on are those of {}: what an instance has for itself is not shared",
                span.first, other.whose
            )));
        }
    }
    Ok(())
}

fn shared(config: &Config) -> Vec<Span> {
    idmap::shared(config.get(RAW).map_or("", String::as_str))
}

/// The same for an instance that has a row, with the keys that it starts with.
pub(super) async fn check_start(app: &App, instance: &Instance, config: &Config) -> Result<()> {
    let (instance, config, ranges) = (instance.clone(), config.clone(), app.id_ranges.clone());
    app.db
        .read(move |tx| check(tx, &ranges, &instance, &config))
        .await
}

/// Ids of the host that an instance can't have any more.
struct Taken {
    span: Span,
    whose: String,
    /// Whether somebody has them for himself; if not, `raw.idmap` shares them with the host.
    is_range: bool,
}

fn taken(tx: &Transaction<'_>, but: i64) -> Result<Vec<Taken>> {
    let ranges = instances::id_owners(tx, but)?;
    let ranges = ranges.into_iter().map(|(span, project, name)| Taken {
        span,
        whose: if project == "default" {
            format!("instance `{name}`")
        } else {
            format!("instance `{name}` of project `{project}`")
        },
        is_range: true,
    });
    let shared = instances::raw_idmaps(tx, but)?;
    let shared = shared.iter().flat_map(|raw| idmap::shared(raw));
    let shared = shared.map(|span| Taken {
        span,
        whose: "a `raw.idmap`".to_owned(),
        is_range: false,
    });
    Ok(ranges.chain(shared).collect())
}

/// Settles the ids of one that has a row and is about to start.
pub(super) async fn settle_again(
    app: &App,
    instance: &mut Instance,
    config: &Config,
) -> Result<()> {
    if config.contains_key(RAW) {
        check_start(app, instance, config).await?;
    }
    if unsettled(instance, config)?.is_none() {
        return Ok(());
    }
    let (mut draft, config, ranges) = (instance.clone(), config.clone(), app.id_ranges.clone());
    *instance = app
        .db
        .note(move |tx| {
            settle_among(&taken(tx, draft.id)?, &ranges, &mut draft, &config)?;
            if let Some(first) = draft.idmap_base {
                let count = draft.idmap_size;
                instances::set_ids(tx, draft.id, Span { first, count })?;
            }
            Ok::<_, Error>(draft)
        })
        .await?;
    Ok(())
}

/// What it wants, if it has anything else.
fn unsettled(instance: &Instance, config: &Config) -> Result<Option<Wanted>> {
    let wanted = idmap::wanted(config).map_err(Error::Invalid)?;
    Ok(wanted.filter(|wanted| {
        let as_wanted = instance
            .idmap_base
            .is_some_and(|base| wanted.base.is_none_or(|wanted| wanted == base));
        !as_wanted || instance.idmap_size != wanted.size
    }))
}

fn fixed(first: u32, count: u32, ranges: &[Span], taken: &[Taken]) -> Result<u32> {
    let span = Span { first, count };
    if !ranges.iter().any(|range| range.contains(span)) {
        return Err(Error::Invalid(format!(
            "`security.idmap.base={first}`: the {count} ids from there on are not among root's in /etc/subuid and /etc/subgid"
        )));
    }
    if let Some(other) = taken.iter().find(|other| other.span.overlaps(span)) {
        return Err(Error::Conflict(format!(
            "`security.idmap.base={first}`: {} has some of the {count} ids from there on",
            other.whose
        )));
    }
    Ok(first)
}

fn no_ids() -> Error {
    Error::Unavailable(
        "no subordinate ids are left for another instance: give root a larger range in /etc/subuid and /etc/subgid \
         (65536 ids an instance), then restart rlxcd"
            .to_owned(),
    )
}
