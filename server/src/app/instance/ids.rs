//! The host ids of an instance: settled when it is made, and again at a start if its keys want others by then. On disk owners
//! are those that the instance sees, so nothing else has to change.

use rusqlite::Transaction;

use crate::context::App;
use crate::db::instances;
use crate::error::{Error, Result};
use crate::model::{Config, Instance};
use crate::plan::idmap::{self, Span, Wanted};

/// Gives an instance that has no row yet the ids that its keys want.
pub fn settle(
    tx: &Transaction<'_>,
    ranges: &[Span],
    instance: &mut Instance,
    config: &Config,
) -> Result<()> {
    let taken = instances::id_spans(tx, None)?;
    settle_among(&taken, ranges, instance, config)
}

fn settle_among(
    taken: &[Span],
    ranges: &[Span],
    instance: &mut Instance,
    config: &Config,
) -> Result<()> {
    let Some(wanted) = unsettled(instance, config)? else {
        return Ok(());
    };
    let first = match wanted.base {
        Some(base) => fixed(base, wanted.size, ranges, taken)?,
        None => idmap::pick(ranges, taken, wanted.size).ok_or_else(no_ids)?,
    };
    (instance.idmap_base, instance.idmap_size) = (Some(first), wanted.size);
    Ok(())
}

/// The same for one that has a row.
pub(super) async fn settle_again(
    app: &App,
    instance: &mut Instance,
    config: &Config,
) -> Result<()> {
    if unsettled(instance, config)?.is_none() {
        return Ok(());
    }
    let (mut draft, config, ranges) = (instance.clone(), config.clone(), app.id_ranges.clone());
    *instance = app
        .db
        .note(move |tx| {
            let taken = instances::id_spans(tx, Some(draft.id))?;
            settle_among(&taken, &ranges, &mut draft, &config)?;
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

fn fixed(first: u32, count: u32, ranges: &[Span], taken: &[Span]) -> Result<u32> {
    let span = Span { first, count };
    if !ranges.iter().any(|range| range.contains(span)) {
        return Err(Error::Invalid(format!(
            "`security.idmap.base={first}`: the {count} ids from there on are not among root's in /etc/subuid and /etc/subgid"
        )));
    }
    if !idmap::is_free(span, taken) {
        return Err(Error::Conflict(format!(
            "`security.idmap.base={first}`: another instance has some of the {count} ids from there on"
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
