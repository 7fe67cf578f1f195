//! New images: what was uploaded, built, fetched from a server or made of an instance.

use std::collections::BTreeMap;
use std::sync::Arc;

use rlxc_api::{ImagesPost, Operation, Requestor};
use serde_json::Value;

use super::alias::{check_name, claim};
use super::import::{Draft, import, refuse_known};
use super::incoming::Incoming;
use super::{build, fetch, publish, url};
use crate::context::App;
use crate::db;
use crate::error::{Error, Result};
use crate::model::{Config, Image};
use crate::operation::{Class, Handle, Noted, OperationSpec};

/// Where a new image comes from, as a request says it.
#[derive(Debug)]
enum Source {
    Server(fetch::Wanted),
    Address(fetch::Address),
    Build(Box<build::Order>),
    Publish(publish::Order),
}

/// What an upload says of itself.
#[derive(Debug, Default)]
pub struct Announcement {
    /// Beyond the files.
    pub draft: Draft,
    /// The fingerprint that the uploader expects.
    pub fingerprint: Option<String>,
    /// What let it in, where that was not the uploader's certificate; it opens the operation too.
    pub secret: Option<String>,
}

/// Begins to take an upload into the store.
pub async fn upload(
    app: &Arc<App>,
    who: &Requestor,
    project: &str,
    incoming: Incoming,
    announced: Announcement,
) -> Result<Operation> {
    let (draft, declared) = (announced.draft, announced.fingerprint);
    let found = incoming.fingerprint();
    if let Some(declared) = declared.filter(|declared| !declared.eq_ignore_ascii_case(found)) {
        return Err(Error::Invalid(format!(
            "the fingerprint of what arrived is {found}, not {declared} as announced"
        )));
    }
    refuse_known(app, project, found).await?;
    check_aliases(app, project, &draft).await?;
    let mut spec = spec("Importing image", project, who);
    if let Some(secret) = announced.secret {
        spec.metadata.insert("secret".to_owned(), secret.into());
    }
    let (app2, who) = (Arc::clone(app), who.clone());
    Ok(app.operations.spawn(spec, move |operation| async move {
        operation.set("create_image_progress", "Looking through the image");
        let image = import(&app2, operation.id(), operation.project(), incoming, draft).await?;
        created(&app2, &operation, who, &image);
        Ok(outcome(&image))
    }))
}

/// Begins to make an image of what a request names.
pub async fn create(
    app: &Arc<App>,
    who: &Requestor,
    project: &str,
    post: ImagesPost,
) -> Result<Operation> {
    let draft = draft(&post);
    let source = parse(&post)?;
    let what = match source {
        Source::Server(_) | Source::Address(_) => "Downloading image",
        Source::Build(_) => "Building image",
        Source::Publish(_) => "Publishing instance",
    };
    if matches!(source, Source::Publish(_) | Source::Address(_)) {
        check_aliases(app, project, &draft).await?;
    }
    let spec = spec(what, project, who).cancellable();
    let (app2, who) = (Arc::clone(app), who.clone());
    Ok(app.operations.spawn(spec, move |operation| async move {
        let made = match source {
            Source::Server(wanted) => fetch::copy(&app2, &operation, &wanted, draft).await?,
            Source::Address(address) => Made::new(address.fetch(&app2, &operation, draft).await?),
            Source::Build(order) => build::build(&app2, &operation, &order, draft).await?,
            Source::Publish(order) => publish::publish(&app2, &operation, &order, draft).await?,
        };
        if made.new {
            created(&app2, &operation, who, &made.image);
        }
        Ok(outcome(&made.image))
    }))
}

/// An image, and whether it is new here.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) image: Image,
    pub(super) new: bool,
}

impl Made {
    pub(super) fn new(image: Image) -> Self {
        Self { image, new: true }
    }

    /// One that was here already, under the names that were asked for.
    pub(super) async fn known(
        app: &App,
        project: &str,
        image: Image,
        draft: &Draft,
    ) -> Result<Self> {
        claim(app, project, &image, draft).await?;
        Ok(Self { image, new: false })
    }
}

fn spec(what: &'static str, project: &str, who: &Requestor) -> OperationSpec {
    OperationSpec {
        class: Class::Task,
        description: what,
        project: project.to_owned(),
        resources: BTreeMap::new(),
        metadata: BTreeMap::new(),
        may_cancel: false,
        noted: Noted::First,
        requestor: Some(who.clone()),
    }
}

/// Tells of a new image.
pub(super) fn created(app: &App, operation: &Handle, who: Requestor, image: &Image) {
    operation.add_resource("images", url(&image.fingerprint));
    super::event(
        app,
        "image-created",
        operation.project(),
        &image.fingerprint,
        Some(who),
    );
}

/// What clients read from the operation at its end; LXD's has the size as text.
pub(super) fn outcome(image: &Image) -> BTreeMap<String, Value> {
    BTreeMap::from([
        ("fingerprint".to_owned(), image.fingerprint.clone().into()),
        ("size".to_owned(), image.size.to_string().into()),
    ])
}

pub(super) fn draft(post: &ImagesPost) -> Draft {
    let put = &post.put;
    Draft {
        filename: post.filename.clone(),
        public: put.public,
        auto_update: put.auto_update,
        expires_at: (!put.expires_at.is_none()).then(|| put.expires_at.0.clone()),
        properties: put.properties.clone(),
        profiles: put.profiles.clone(),
        aliases: post
            .aliases
            .iter()
            .map(|alias| (alias.name.clone(), alias.description.clone()))
            .collect(),
        ..Draft::default()
    }
}

fn parse(post: &ImagesPost) -> Result<Source> {
    post.aliases
        .iter()
        .try_for_each(|alias| check_name(&alias.name))?;
    let Some(source) = &post.source else {
        return Err(Error::Invalid(
            "the request names no source: type is image, url, build, instance or snapshot, \
             or the body is the image itself"
                .to_owned(),
        ));
    };
    match source.kind.as_str() {
        "image" => fetch::Wanted::parse(source).map(Source::Server),
        "url" => fetch::Address::parse(source).map(Source::Address),
        "build" => build::Order::parse(source).map(Box::new).map(Source::Build),
        "instance" | "container" | "snapshot" => {
            publish::Order::parse(source, &post.compression_algorithm).map(Source::Publish)
        }
        other => Err(Error::Invalid(format!(
            "images can't be made of a source of type `{other}` here: there are image, url, build, instance and snapshot"
        ))),
    }
}

/// Refuses names that are taken before anything is done; the row's own transaction makes sure of it.
async fn check_aliases(app: &App, project: &str, draft: &Draft) -> Result<()> {
    let (id, names) = (
        app.project(project).await?,
        draft.aliases.iter().map(|(name, _)| name.clone()),
    );
    let names: Vec<String> = names.collect();
    names.iter().try_for_each(|name| check_name(name))?;
    app.db
        .read(move |tx| {
            for name in names {
                if db::images::find_alias(tx, id, &name)?.is_some() {
                    return Err(Error::exists("image alias", name));
                }
            }
            Ok(())
        })
        .await
}

/// The server's keys.
pub(super) async fn server_config(app: &App) -> Result<Config> {
    Ok(app.db.read(db::config::load).await?)
}
