//! Whether an image can be had by a delta: an older one that it stands on must be here.

use std::collections::BTreeSet;
use std::fs::File;

use rlxc_api::simplestreams::catalogue::ImageFiles;

use crate::app::image::files::files;
use crate::context::App;
use crate::db::images;
use crate::error::Result;
use crate::simplestreams::Shortcut;

/// Finds the delta to fetch. Images of other projects don't count: how long a download takes would tell that they are there.
pub(super) async fn find(app: &App, project: &str, image: &ImageFiles) -> Result<Option<Shortcut>> {
    if image.deltas.is_empty() {
        return Ok(None);
    }
    let id = app.project(project).await?;
    let bases: BTreeSet<String> = image
        .deltas
        .iter()
        .flat_map(|delta| delta.bases.iter().cloned())
        .collect();
    let here = app
        .db
        .read(move |tx| images::split_among(tx, id, bases))
        .await?;
    let Some((delta, base)) = image.delta_on(&here) else {
        return Ok(None);
    };
    let Some(path) = files(&app.places, base, true).rootfs else {
        return Ok(None);
    };
    match File::open(&path) {
        Ok(base) => Ok(Some(Shortcut {
            delta: delta.clone(),
            base,
        })),
        // It may be deleted just now.
        Err(error) => {
            tracing::info!(path = %path.display(), %error, "an older image can't be read, the whole of the newer one is fetched");
            Ok(None)
        }
    }
}
