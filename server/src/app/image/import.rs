//! Into the store: checked, named by what it is, its row last.

use std::path::Path;

use rlxc_storage::image::{
    ImageError, ImageFiles, ImageMetadata, UnpackLimits, inspect, read_metadata,
};
use rlxc_sys::file::{self, FileError};

use super::files::files;
use super::incoming::Incoming;
use crate::app::project::gate;
use crate::clock;
use crate::context::{App, blocking};
use crate::db::images;
use crate::error::{Error, Result};
use crate::model::{Config, Image, ImageOrigin};
use crate::plan::project::Feature;
use crate::saga::{JournalEntry, Saga};

/// Whether the files must be looked through before anything is made of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Trust {
    /// They came from somebody: every entry is looked at.
    #[default]
    Nobody,
    /// Made here, or what a signed index promised: only the metadata is read.
    Made,
}

/// What is told of an image beyond its files.
#[derive(Debug, Clone, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of its own, as the API has them"
)]
pub struct Draft {
    /// As the uploader calls the file.
    pub filename: String,
    /// Whether anybody may fetch it.
    pub public: bool,
    /// Whether it follows its source.
    pub auto_update: bool,
    /// Whether it came only because an instance is made of it.
    pub cached: bool,
    /// RFC 3339; over what the metadata says.
    pub expires_at: Option<String>,
    /// Over those of the metadata.
    pub properties: Config,
    /// Names and descriptions.
    pub aliases: Vec<(String, String)>,
    /// Of instances that name none; `default` unless set.
    pub profiles: Option<Vec<String>>,
    /// Whether aliases that are there already move to it.
    pub take_aliases: bool,
    /// Where it came from.
    pub origin: Option<ImageOrigin>,
    /// How much is looked at.
    pub trust: Trust,
}

/// Brings an image into the store of a project. Until its row is there nothing of it stays behind.
pub(super) async fn import(
    app: &App,
    operation: &str,
    project: &str,
    incoming: Incoming,
    draft: Draft,
) -> Result<Image> {
    let key = format!("image/{}", incoming.fingerprint);
    let _turn = app.image_locks.lock(&key).await;
    refuse_known(app, project, &incoming.fingerprint).await?;
    let (files, trust) = (incoming.files.clone(), draft.trust);
    let metadata = blocking(move || look_at(&files, trust))
        .await
        .map_err(|error| {
            let short = &incoming.fingerprint[..12];
            Error::failed(format!("import image {short}"), error)
        })?;
    let image = describe(app, &incoming, &draft, metadata)?;
    let id = app.project(project).await?;
    let mut saga = Saga::new(app, operation);
    saga.intend(JournalEntry::ImageFiles {
        fingerprint: image.fingerprint.clone(),
    })
    .await?;
    if let Err(error) = store(app, &incoming, &image).await {
        saga.unwind().await;
        return Err(error);
    }
    saga.commit_with(move |tx| insert(tx, id, image, &draft))
        .await
}

/// Refuses an image that the project has.
pub(super) async fn refuse_known(app: &App, project: &str, fingerprint: &str) -> Result<()> {
    let (id, key) = (app.project(project).await?, fingerprint.to_owned());
    let known = app
        .db
        .read(move |tx| images::find_by_prefix(tx, id, &key))
        .await?;
    if known.is_empty() {
        return Ok(());
    }
    Err(Error::exists("image", fingerprint))
}

fn look_at(files: &ImageFiles, trust: Trust) -> Result<ImageMetadata, ImageError> {
    match trust {
        Trust::Nobody => inspect(files, UnpackLimits::default()),
        Trust::Made => read_metadata(files, UnpackLimits::default()),
    }
}

fn describe(
    app: &App,
    incoming: &Incoming,
    draft: &Draft,
    metadata: ImageMetadata,
) -> Result<Image> {
    let mut properties = metadata.properties;
    properties.extend(draft.properties.clone());
    properties.retain(|_, value| !value.is_empty());
    let expires_at = match &draft.expires_at {
        Some(time) => Some(time.clone()),
        None if metadata.expiry_date > 0 => Some(time(metadata.expiry_date)?),
        None => None,
    };
    Ok(Image {
        id: 0,
        fingerprint: incoming.fingerprint.clone(),
        filename: draft.filename.clone(),
        size: i64::try_from(incoming.size).map_err(Error::internal)?,
        split: incoming.files.rootfs.is_some(),
        public: draft.public,
        cached: draft.cached,
        auto_update: draft.auto_update,
        architecture: kernel_name(metadata.architecture),
        created_at: time(metadata.creation_date)?,
        expires_at,
        uploaded_at: app.now(),
        last_used_at: None,
        properties,
        aliases: draft.aliases.clone(),
        profiles: draft
            .profiles
            .clone()
            .unwrap_or_else(|| vec!["default".to_owned()]),
        source: draft.origin.clone(),
    })
}

/// Makers of images write `amd64` too.
fn kernel_name(architecture: String) -> String {
    use crate::simplestreams::architecture as names;
    let known = names::debian_name(&architecture).and_then(names::kernel_name);
    known.map_or(architecture, str::to_owned)
}

fn time(seconds: i64) -> Result<String> {
    jiff::Timestamp::from_second(seconds)
        .map(clock::format)
        .map_err(|error| Error::failed("read the dates in `metadata.yaml` of the image", error))
}

async fn store(app: &App, incoming: &Incoming, image: &Image) -> Result<()> {
    let (from, to) = (
        incoming.files.clone(),
        files(&app.places, &image.fingerprint, image.split),
    );
    blocking(move || put_in_place(&from, &to))
        .await
        .map_err(|error| Error::failed("store an image", error))
}

/// Puts image files where they belong, so that they survive power loss.
fn put_in_place(from: &ImageFiles, to: &ImageFiles) -> Result<(), FileError> {
    let pairs = std::iter::once((&from.meta, &to.meta)).chain(from.rootfs.iter().zip(&to.rootfs));
    for (from, to) in pairs {
        file::open(from)?
            .sync_all()
            .map_err(|error| FileError::new("sync", from, error))?;
        file::rename(from, to)?;
    }
    file::sync_dir(to.meta.parent().unwrap_or(Path::new("/")))
}

fn insert(
    tx: &rusqlite::Transaction<'_>,
    project: i64,
    mut image: Image,
    draft: &Draft,
) -> Result<Image> {
    image.id = images::insert(tx, project, &image).map_err(|error| {
        if error.is_unique_violation() {
            Error::exists("image", &image.fingerprint)
        } else {
            error.into()
        }
    })?;
    if let Some(missing) = images::replace_profiles(tx, image.id, &image.profiles)?
        // A project may be without profiles of its own.
        && draft.profiles.is_some()
    {
        return Err(Error::not_found("profile", missing));
    }
    for (name, description) in &draft.aliases {
        if draft.take_aliases {
            images::point_alias(tx, project, image.id, name, description)?;
            continue;
        }
        images::insert_alias(tx, project, image.id, name, description).map_err(|error| {
            if error.is_unique_violation() {
                Error::exists("image alias", name)
            } else {
                error.into()
            }
        })?;
    }
    gate::check_owner(tx, project, Feature::Images)?;
    Ok(image)
}
