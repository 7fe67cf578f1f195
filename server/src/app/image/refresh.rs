//! Looking for a newer image where an image came from.

use std::collections::BTreeMap;
use std::sync::Arc;

use rlxc_api::{Operation, Requestor};

use super::create::{Made, created};
use super::delete::delete_now;
use super::import::Draft;
use super::{build, event, fetch, resolve::find, url};
use crate::context::App;
use crate::db::{images, pools};
use crate::error::{Error, Result};
use crate::model::Image;
use crate::operation::{Handle, OperationSpec};

/// Begins to look for a newer one; it takes the place of the old one, and its aliases.
pub async fn refresh(
    app: &Arc<App>,
    who: &Requestor,
    project: &str,
    fingerprint: &str,
) -> Result<Operation> {
    let image = find(app, project, fingerprint).await?;
    let source = Source::of(&image)?;
    let spec = OperationSpec::task(
        "Refreshing image",
        project,
        "images",
        &url(&image.fingerprint),
    )
    .requested_by(who)
    .cancellable();
    let (app2, who) = (Arc::clone(app), who.clone());
    Ok(app.operations.spawn(spec, move |operation| async move {
        let made = source.get(&app2, &operation, &image).await?;
        let refreshed = made.image.fingerprint != image.fingerprint;
        if refreshed {
            created(&app2, &operation, who.clone(), &made.image);
            take_over(&app2, &operation, &image, &made.image).await?;
            delete_now(&app2, operation.id(), &image).await?;
            let project = operation.project();
            event(
                &app2,
                "image-refreshed",
                project,
                &made.image.fingerprint,
                Some(who),
            );
        }
        Ok(BTreeMap::from([
            ("refreshed".to_owned(), refreshed.into()),
            ("fingerprint".to_owned(), made.image.fingerprint.into()),
        ]))
    }))
}

/// What was known and made of the old one: when it was used, and that it lies unpacked on pools.
async fn take_over(app: &App, operation: &Handle, old: &Image, new: &Image) -> Result<()> {
    for pool in app.db.read(pools::list).await? {
        let driver = app.pools.get(&pool.name);
        if driver.is_ok_and(|driver| driver.has_image(&old.fingerprint)) {
            super::ensure_on_pool(app, &pool.name, new, operation).await?;
        }
    }
    let (id, used) = (new.id, old.last_used_at.clone());
    let note = move |tx: &rusqlite::Transaction<'_>| images::set_last_used(tx, id, used.as_deref());
    app.db.post(note);
    Ok(())
}

enum Source {
    Server(fetch::Wanted),
    Build(build::Order),
}

impl Source {
    fn of(image: &Image) -> Result<Self> {
        match &image.source {
            Some(origin) if origin.protocol == build::PROTOCOL => {
                build::Order::again(origin).map(Self::Build)
            }
            Some(origin) => fetch::Wanted::again(origin).map(Self::Server),
            None => Err(Error::Invalid(format!(
                "image {} was imported or published: there is no source to look at for a newer one",
                &image.fingerprint[..12]
            ))),
        }
    }

    async fn get(&self, app: &App, operation: &Handle, old: &Image) -> Result<Made> {
        let draft = Draft {
            public: old.public,
            auto_update: old.auto_update,
            cached: old.cached,
            aliases: old.aliases.clone(),
            profiles: Some(old.profiles.clone()),
            ..Draft::default()
        };
        match self {
            Self::Server(wanted) => fetch::copy(app, operation, wanted, draft).await,
            Self::Build(order) => build::build(app, operation, order, draft).await,
        }
    }
}
