//! Images that are built here from the packages of a distribution.

use rlxc_api::ImagesPostSource;
use rlxc_storage::image::ImageFiles;
use tokio_util::sync::CancellationToken;

use super::create::{Made, server_config};
use super::import::{Draft, Trust, import};
use super::incoming::{Incoming, Scratch};
use crate::context::App;
use crate::db::images;
use crate::error::{Error, Result};
use crate::image_build::recipe::Recipe;
use crate::image_build::{self, BuildError, BuildHost, BuildRequest};
use crate::model::{Image, ImageOrigin};
use crate::operation::Handle;
use crate::simplestreams::architecture;

/// What kind of origin a built image has.
pub(super) const PROTOCOL: &str = "build";

/// A build that makes sense.
#[derive(Debug)]
pub(super) struct Order {
    request: BuildRequest,
    recipe: Recipe,
}

impl Order {
    pub(super) fn parse(source: &ImagesPostSource) -> Result<Self> {
        let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let mut request = if source.distribution.is_empty() {
            BuildRequest::parse(&source.alias)
        } else {
            BuildRequest {
                distribution: source.distribution.clone(),
                release: source.release.clone(),
                ..BuildRequest::default()
            }
        };
        request.architecture = given(&source.architecture).or(request.architecture);
        request.variant = given(&source.variant).or(request.variant);
        request.packages.clone_from(&source.packages);
        request.mirror = given(&source.mirror);
        Self::new(request)
    }

    /// The build that an image came from, to do it again.
    pub(super) fn again(origin: &ImageOrigin) -> Result<Self> {
        let (name, packages) = origin.alias.split_once('+').unwrap_or((&origin.alias, ""));
        let mut request = BuildRequest::parse(name);
        request.mirror = Some(origin.server.clone()).filter(|mirror| !mirror.is_empty());
        request.packages = packages
            .split(',')
            .filter(|package| !package.is_empty())
            .map(str::to_owned)
            .collect();
        Self::new(request)
    }

    fn new(request: BuildRequest) -> Result<Self> {
        let recipe = request
            .resolve()
            .map_err(|error| Error::Invalid(error.to_string()))?;
        Ok(Self { request, recipe })
    }

    /// What tells this build from others.
    fn origin(&self) -> ImageOrigin {
        let mut alias = self.recipe.aliases().into_iter().next().unwrap_or_default();
        if self.recipe.architecture != architecture::native() {
            alias.push('/');
            alias.push_str(self.recipe.architecture);
        }
        if !self.recipe.extra.is_empty() {
            alias.push('+');
            alias.push_str(&self.recipe.extra.join(","));
        }
        ImageOrigin {
            protocol: PROTOCOL.to_owned(),
            server: self.request.mirror.clone().unwrap_or_default(),
            alias,
            certificate: String::new(),
            project: String::new(),
        }
    }
}

/// Builds an image and brings it into the store. Whoever asks for the same while it is built gets the same.
pub(super) async fn build(
    app: &App,
    operation: &Handle,
    order: &Order,
    mut draft: Draft,
) -> Result<Made> {
    let (asked, origin) = (app.now(), order.origin());
    draft.take_aliases = true;
    let key = format!("build/{}/{}", origin.server, origin.alias);
    let _turn = app.image_locks.lock(&key).await;
    if let Some(image) = built_since(app, operation.project(), &origin, &asked).await? {
        return Made::known(app, operation.project(), image, &draft).await;
    }
    let built = run(app, operation, order).await?;
    if draft.aliases.is_empty() {
        let suggested = built.aliases.into_iter();
        draft.aliases = suggested.map(|name| (name, String::new())).collect();
    }
    (draft.origin, draft.trust) = (Some(origin), Trust::Made);
    let incoming = Incoming::measure(
        Scratch::adopt(built.directory),
        ImageFiles {
            meta: built.metadata,
            rootfs: Some(built.rootfs),
        },
    )
    .await?;
    operation.set("create_image_progress", "Storing the image");
    let (id, project) = (operation.id(), operation.project());
    import(app, id, project, incoming, draft)
        .await
        .map(Made::new)
}

async fn built_since(
    app: &App,
    project: &str,
    origin: &ImageOrigin,
    asked: &str,
) -> Result<Option<Image>> {
    let (id, origin) = (app.project(project).await?, origin.clone());
    let found = app
        .db
        .read(move |tx| images::find_by_origin(tx, id, &origin))
        .await?;
    Ok(found.filter(|image| image.uploaded_at.as_str() >= asked))
}

async fn run(app: &App, operation: &Handle, order: &Order) -> Result<image_build::BuiltImage> {
    let config = server_config(app).await?;
    let host = BuildHost {
        mirror: config.get("images.build.mirror").cloned(),
        proxy: config.get("core.proxy_http").cloned(),
        ..BuildHost::new(&app.places.scratch())
    };
    let progress = |text: String| operation.set("create_image_progress", text);
    let cancel: CancellationToken = operation.cancellation().clone();
    image_build::build(&order.request, &host, progress, cancel)
        .await
        .map_err(|error| match error {
            BuildError::Cancelled => Error::Cancelled,
            error => Error::failed(format!("build image `{}`", order.origin().alias), error),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(source: &ImagesPostSource) -> Order {
        Order::parse(source).unwrap()
    }

    #[test]
    fn an_origin_tells_how_to_build_it_again() {
        let source = ImagesPostSource {
            distribution: "debian".to_owned(),
            release: "bookworm".to_owned(),
            variant: "minimal".to_owned(),
            packages: vec!["git".to_owned(), "g++".to_owned()],
            mirror: "http://mirror.example/debian".to_owned(),
            ..ImagesPostSource::default()
        };
        let origin = order(&source).origin();
        assert_eq!(origin.alias, "debian/12/minimal+git,g++");
        assert_eq!(Order::again(&origin).unwrap().origin(), origin);
    }

    #[test]
    fn a_name_will_do_instead_of_parts() {
        let source = ImagesPostSource {
            alias: "debian/12".to_owned(),
            ..ImagesPostSource::default()
        };
        assert_eq!(order(&source).origin().alias, "debian/12");
    }

    #[test]
    fn what_can_not_be_built_is_refused_at_once() {
        let source = ImagesPostSource {
            distribution: "debain".to_owned(),
            ..ImagesPostSource::default()
        };
        let error = Order::parse(&source).unwrap_err().to_string();
        assert!(error.contains("debian"), "{error}");
    }
}
