//! What is done about images now and then: newer ones are looked for where they came from, and what nobody used for long goes.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rlxc_api::Requestor;
use rlxc_sys::chain::chain;

use super::create::server_config;
use super::delete::delete_now;
use super::{event, refresh};
use crate::context::App;
use crate::db::{images, projects};
use crate::error::{Error, Result};
use crate::model::{Config, Image, Project};
use crate::plan::project::Feature;

/// Between two looks whether something is due.
const EVERY: Duration = Duration::from_secs(60);
/// Hours between two looks for newer images; the default of `images.auto_update_interval`.
const UPDATE_HOURS: i64 = 6;
/// Days after which a cached image that nobody used goes; the default of `images.remote_cache_expiry`.
const CACHE_DAYS: i64 = 10;
/// Hours between two looks for what expired.
const EXPIRY_HOURS: i64 = 24;

/// When what was done last.
#[derive(Debug, Default)]
pub struct Upkeep {
    updated: Option<Timestamp>,
    pruned: Option<Timestamp>,
}

/// Does what is due until the daemon ends.
pub async fn run(app: Arc<App>) {
    let mut upkeep = Upkeep::default();
    loop {
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            () = tokio::time::sleep(EVERY) => upkeep.tick(&app).await,
        }
    }
}

impl Upkeep {
    /// Does what is due now by the daemon's clock.
    pub(crate) async fn tick(&mut self, app: &Arc<App>) {
        let config = match server_config(app).await {
            Ok(config) => config,
            Err(error) => return tell("read the configuration", &error),
        };
        let now = app.clock.now();
        let days = number(&config, "images.remote_cache_expiry", CACHE_DAYS);
        if days > 0 && is_due(self.pruned, now, EXPIRY_HOURS) {
            self.pruned = Some(now);
            if let Err(error) = prune(app, now, days).await {
                tell("remove cached images", &error);
            }
        }
        let hours = number(&config, "images.auto_update_interval", UPDATE_HOURS);
        if hours > 0 && is_due(self.updated, now, hours) {
            self.updated = Some(now);
            if let Err(error) = update(app).await {
                tell("look for newer images", &error);
            }
        }
    }
}

fn tell(what: &str, error: &Error) {
    tracing::warn!(error = %chain(error), "could not {what}");
}

fn number(config: &Config, key: &str, default: i64) -> i64 {
    let value = config.get(key).and_then(|text| text.parse().ok());
    value.unwrap_or(default)
}

fn is_due(last: Option<Timestamp>, now: Timestamp, hours: i64) -> bool {
    last.is_none_or(|last| now.duration_since(last) >= SignedDuration::from_hours(hours))
}

/// All images, each with the name of its project.
async fn all(app: &App) -> Result<Vec<(String, Image)>> {
    app.db
        .read(|tx| {
            let mut all = Vec::new();
            let own = |project: &Project| Feature::Images.is_on(&project.config);
            for project in projects::list(tx)?.into_iter().filter(own) {
                let images = images::list(tx, project.id)?;
                all.extend(
                    images
                        .into_iter()
                        .map(|image| (project.name.clone(), image)),
                );
            }
            Ok::<_, Error>(all)
        })
        .await
}

/// Deletes cached images that no instance was made of for so many days.
async fn prune(app: &App, now: Timestamp, days: i64) -> Result<()> {
    let span = SignedDuration::from_hours(days.saturating_mul(24));
    let Ok(before) = now.checked_sub(span) else {
        return Ok(());
    };
    let is_old = |image: &Image| {
        let used = image.last_used_at.as_ref().unwrap_or(&image.uploaded_at);
        used.parse::<Timestamp>().is_ok_and(|used| used < before)
    };
    for (project, image) in all(app).await? {
        if image.cached && is_old(&image) {
            tracing::info!(image = image.fingerprint, project, "a cached image expired");
            delete_now(app, "", &image).await?;
            event(app, "image-deleted", &project, &image.fingerprint, None);
        }
    }
    Ok(())
}

/// Looks for newer ones of the images that follow their source. One that can't be asked keeps no other from it.
async fn update(app: &Arc<App>) -> Result<()> {
    for (project, image) in all(app).await? {
        if !image.auto_update || image.source.is_none() {
            continue;
        }
        let who = Requestor {
            username: "rlxcd".to_owned(),
            protocol: "internal".to_owned(),
            address: String::new(),
        };
        // Its operation tells how it ended, and so does the log.
        match refresh(app, &who, &project, &image.fingerprint).await {
            Ok(operation) => drop(app.operations.wait(&operation.id, None).await?),
            Err(error) => tell("look for a newer image", &error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + hour * 3600).unwrap()
    }

    #[test]
    fn something_is_due_at_first_and_after_its_time() {
        assert!(is_due(None, at(0), 6));
        assert!(!is_due(Some(at(0)), at(5), 6));
        assert!(is_due(Some(at(0)), at(6), 6));
        // The clock was set back.
        assert!(!is_due(Some(at(9)), at(0), 6));
    }
}
