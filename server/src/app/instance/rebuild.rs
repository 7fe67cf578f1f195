//! Rebuilding: the root of an instance is made anew, of an image or of nothing; its configuration and devices stay.

use std::collections::BTreeMap;
use std::sync::Arc;

use rlxc_api::{InstanceSource, Operation, Requestor};
use rlxc_storage::Source;
use rlxc_sys::chain::chain;

use super::start::load;
use super::{find, find_by_id, handle, quota};
use crate::app::image;
use crate::app::template::{self, Trigger};
use crate::context::{App, instance_url};
use crate::db::instances;
use crate::error::{Error, Result};
use crate::instance::Outcome;
use crate::instance::state::Verb;
use crate::model::{Image, Instance};
use crate::operation::{Handle, OperationSpec};
use crate::saga::{JournalEntry, Saga, rebuild_volume};

/// Begins to make the root of a stopped instance anew. What was in it is lost.
pub async fn rebuild(
    app: &Arc<App>,
    who: &Requestor,
    project: &str,
    name: &str,
    source: InstanceSource,
) -> Result<Operation> {
    if !matches!(source.kind.as_str(), "image" | "none") {
        return Err(Error::Invalid(format!(
            "an instance can't be rebuilt from a source of type `{}`: there are image and none",
            source.kind
        )));
    }
    let instance = find(app, project, name).await?;
    let id = app.operations.next_id();
    let permit = handle(app, &instance)?
        .begin(Verb::Rebuild, name, &id)
        .await?;
    // As it is now that nobody else changes what it has.
    let instance = find_by_id(app, instance.id).await?;
    if !instance.snapshots.is_empty() {
        return Err(Error::Invalid(format!(
            "instance `{name}` has snapshots, which belong to the root that it has now: delete them before it is rebuilt"
        )));
    }
    let url = instance_url(project, name);
    let spec = OperationSpec::task("Rebuilding instance", project, "instances", &url)
        .requested_by(who)
        .cancellable();
    let (app2, who) = (Arc::clone(app), who.clone());
    Ok(app
        .operations
        .spawn_as(id, spec, move |operation| async move {
            let image = match source.kind.as_str() {
                "image" => {
                    let project = &instance.project;
                    let image = image::resolve(&app2, &who, project, &source, &operation).await?;
                    image::ensure_on_pool(&app2, &instance.pool, &image, &operation).await?;
                    Some(image)
                }
                _ => None,
            };
            replace_root(&app2, &operation, &instance, image.as_ref()).await?;
            permit.finish(Outcome::Unchanged);
            let (project, name) = (&instance.project, &instance.name);
            app2.instance_event("instance-rebuilt", project, name, Some(who));
            Ok(BTreeMap::new())
        }))
}

/// Rows first, and with them the decision: from then on it is rebuilt, if need be by the next start of the daemon.
async fn replace_root(
    app: &App,
    operation: &Handle,
    instance: &Instance,
    image: Option<&Image>,
) -> Result<()> {
    if operation.cancellation().is_cancelled() {
        return Err(Error::Cancelled);
    }
    let source = image.map_or(Source::Empty, |image| {
        Source::Image(image.fingerprint.clone())
    });
    let mut saga = Saga::new(app, operation.id());
    let entry = JournalEntry::Rebuild {
        pool: instance.pool.clone(),
        instance: instance.id,
        image: image.map(|image| image.fingerprint.clone()),
    };
    let (project, id, image_row) = (
        app.project(&instance.project).await?,
        instance.id,
        image.cloned(),
    );
    saga.intend_with(entry, move |tx| {
        // Its configuration may have changed while the image came.
        let now = instances::find_by_id(tx, id)?;
        let now = now.ok_or_else(|| Error::not_found("instance", id.to_string()))?;
        let changed = rebuilt(now, image_row.as_ref());
        Ok(instances::update(tx, project, &changed)?)
    })
    .await?;
    if let Err(error) = rebuild_volume(app, &instance.pool, instance.id, source).await {
        // Once more, or with nothing in it: it must have a root.
        saga.unwind().await;
        return Err(error);
    }
    limit_again(app, id).await;
    if image.is_some() {
        let written = write_templates(app, instance.id).await;
        saga.keep().await;
        return written;
    }
    saga.keep().await;
    Ok(())
}

/// A volume that was made anew has no limit yet. What can't be limited is told, and is no reason to be without a root.
pub async fn limit_again(app: &App, id: i64) {
    let limited = async {
        let (instance, expanded) = load(app, id).await?;
        quota::set(app, &instance, None, quota::size(&expanded)?).await
    };
    if let Err(error) = limited.await {
        tracing::warn!(instance = id, error = %chain(&error), "the new root has no limit");
    }
}

async fn write_templates(app: &App, id: i64) -> Result<()> {
    let (instance, expanded) = load(app, id).await?;
    if let Some(due) = template::find(app, &instance, Trigger::Create).await? {
        template::write(app, &instance, &expanded, due).await?;
    }
    Ok(())
}

/// What the instance is then: as it was, but for what it has from its image.
fn rebuilt(mut changed: Instance, image: Option<&Image>) -> Instance {
    changed
        .config
        .retain(|key, _| !key.starts_with("image.") && key != "volatile.base_image");
    if let Some(image) = image {
        changed.architecture.clone_from(&image.architecture);
        let properties = image.properties.iter();
        let properties = properties.map(|(key, value)| (format!("image.{key}"), value.clone()));
        changed.config.extend(properties);
        let base = ("volatile.base_image".to_owned(), image.fingerprint.clone());
        changed.config.extend([base]);
    }
    changed
}
