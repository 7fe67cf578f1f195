//! Storage volumes: the roots of instances and the images that are unpacked on a pool.

use rlxc_api::{StorageVolume, StorageVolumePut, Timestamp};

use super::pool;
use crate::context::{App, instance_url};
use crate::db::{instances, pools};
use crate::error::{Error, Result};
use crate::model::Instance;

/// All volumes of a pool; with `kind`, only those: `container` or `image`.
pub async fn list(app: &App, pool: &str, kind: Option<&str>) -> Result<Vec<StorageVolume>> {
    if let Some(kind) = kind.filter(|kind| !KINDS.contains(kind)) {
        let known = KINDS.join("`, `");
        return Err(Error::Invalid(format!(
            "volumes of type `{kind}` are not known here: there are `{known}`"
        )));
    }
    pool::get(app, pool).await?;
    let name = pool.to_owned();
    let (images, all) = app
        .db
        .read(move |tx| {
            let row =
                pools::find(tx, &name)?.ok_or_else(|| Error::not_found("storage pool", &name))?;
            Ok::<_, Error>((pools::images(tx, row.id)?, instances::list(tx, None)?))
        })
        .await?;
    let roots = all
        .iter()
        .filter(|instance| instance.pool == pool)
        .map(of_instance);
    let volumes = roots.chain(images.into_iter().map(of_image));
    Ok(volumes
        .filter(|volume| kind.is_none_or(|kind| volume.kind == kind))
        .collect())
}

/// The URL of a volume.
pub fn url(pool: &str, volume: &StorageVolume) -> String {
    format!(
        "/1.0/storage-pools/{pool}/volumes/{}/{}",
        volume.kind, volume.name
    )
}

const KINDS: &[&str] = &["container", "image"];

fn of_instance(instance: &Instance) -> StorageVolume {
    StorageVolume {
        used_by: vec![instance_url(&instance.project, &instance.name)],
        project: instance.project.clone(),
        created_at: Timestamp(instance.created_at.clone()),
        ..volume("container", instance.name.clone())
    }
}

fn of_image(fingerprint: String) -> StorageVolume {
    StorageVolume {
        used_by: vec![format!("/1.0/images/{fingerprint}")],
        ..volume("image", fingerprint)
    }
}

fn volume(kind: &str, name: String) -> StorageVolume {
    StorageVolume {
        put: StorageVolumePut::default(),
        name,
        kind: kind.to_owned(),
        used_by: Vec::new(),
        location: "none".to_owned(),
        content_type: "filesystem".to_owned(),
        project: "default".to_owned(),
        created_at: Timestamp::none(),
    }
}
