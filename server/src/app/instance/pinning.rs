//! Keeps instances on processors: those that `limits.cpu` names, or so many, spread over what the host has and spread
//! anew whenever an instance comes, goes or changes.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use rlxc_sys::chain::chain;

use crate::context::App;
use crate::db::{instances, profiles};
use crate::error::{Error, Result};
use crate::plan::expand::expand;
use crate::plan::limits::plan_limits;
use crate::plan::numbers;
use crate::plan::pinning::{Candidate, Pins, Place, balance};
use crate::runtime::Placement;

/// One choice at a time, and who is concerned.
#[derive(Debug, Default)]
pub struct Pinning {
    turn: tokio::sync::Mutex<()>,
    pinned: Mutex<BTreeSet<i64>>,
}

impl Pinning {
    fn with<T>(&self, work: impl FnOnce(&mut BTreeSet<i64>) -> T) -> T {
        work(&mut self.pinned.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Where an instance is to be that is about to start or to change.
pub(super) async fn choose(app: &App, id: i64, pins: &Pins) -> Result<Placement> {
    if *pins == Pins::default() {
        return Ok(Placement::default());
    }
    let _turn = app.pinning.turn.lock().await;
    let mut all = candidates(app).await?;
    all.retain(|one| one.id != id);
    all.push(Candidate {
        id,
        pins: pins.clone(),
        now: now(app, id),
    });
    app.pinning.with(|pinned| pinned.insert(id));
    let place = balance(&app.host, &all).remove(&id);
    Ok(place.as_ref().map(render).unwrap_or_default())
}

/// Places anew all that are to be kept to processors. What can't be placed stays where it is.
pub async fn rebalance(app: &App) {
    let _turn = app.pinning.turn.lock().await;
    let all = match candidates(app).await {
        Ok(all) => all,
        Err(error) => {
            tracing::warn!(error = %chain(&error), "instances are not spread over processors");
            return;
        }
    };
    let places = balance(&app.host, &all);
    for (id, place) in &places {
        let stays = all
            .iter()
            .any(|one| one.id == *id && one.now == place.cpus && place.nodes.is_none());
        if stays {
            continue;
        }
        // One that has just ended has no place.
        if let Err(error) = app.runtime.place(app.cgroup(*id), render(place)).await {
            tracing::debug!(instance = id, error = %chain(&error), "not placed on processors");
        }
    }
    app.pinning
        .with(|pinned| *pinned = places.into_keys().collect());
}

/// The same, if there is anything to place.
pub(super) async fn settle(app: &App) {
    if app.pinning.with(|pinned| !pinned.is_empty()) {
        rebalance(app).await;
    }
}

/// The same in the background, for an instance that has come.
pub(super) fn came(app: &Arc<App>, id: i64) {
    if app.pinning.with(|pinned| pinned.contains(&id)) {
        spawn(app);
    }
}

/// The same in the background, for an instance that has gone.
pub(super) fn left(app: &Arc<App>, id: i64) {
    let concerned = app
        .pinning
        .with(|pinned| pinned.remove(&id) && !pinned.is_empty());
    if concerned {
        spawn(app);
    }
}

fn spawn(app: &Arc<App>) {
    let app2 = Arc::clone(app);
    app.tasks.spawn(async move { rebalance(&app2).await });
}

/// All that run and ask for something.
async fn candidates(app: &App) -> Result<Vec<Candidate>> {
    let (rows, known) = app
        .db
        .read(|tx| Ok::<_, Error>((instances::list(tx, None)?, profiles::known(tx)?)))
        .await?;
    let running = rows
        .iter()
        .filter(|row| app.instances.status(row.id).running.is_some());
    let candidates = running.filter_map(|row| {
        let config = expand(row, known.of(&row.project)).config;
        let pins = plan_limits(&config, Vec::new(), &app.host).ok()?.pins;
        (pins != Pins::default()).then(|| Candidate {
            id: row.id,
            pins,
            now: now(app, row.id),
        })
    });
    Ok(candidates.collect())
}

fn now(app: &App, id: i64) -> BTreeSet<u32> {
    let text = app.runtime.cpus(&app.cgroup(id));
    text.and_then(|text| numbers::parse(&text))
        .unwrap_or_default()
}

fn render(place: &Place) -> Placement {
    Placement {
        cpus: Some(numbers::format(&place.cpus)),
        nodes: place.nodes.as_ref().map(numbers::format),
    }
}
