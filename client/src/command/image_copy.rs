//! `image copy`: from one server to another. The target fetches it (pull), the source sends it (push), or it goes through us
//! (relay).

use anyhow::{Context as _, Result, bail, ensure};
use rlxc_api::{
    Image, ImageAlias, ImageExportPost, ImagePut, ImagesPost, ImagesPostSource, Operation,
};
use rlxc_client::Reply;
use rlxc_client::transfer::ImageUpload;
use serde_json::Value;

use super::image_remote::{ImageRemote, Place};
use super::image_source::fingerprint_of;
use super::{image_alias, object};
use crate::cli::{CopyMode, ImageCopyArgs};
use crate::context::Context;
use crate::progress::Transfer;
use crate::remote::{self, Remotes};

pub(crate) async fn run(context: &Context, args: ImageCopyArgs) -> Result<()> {
    let remotes = Remotes::load()?;
    let (source, name) = remote::split(&args.source);
    let source = source.unwrap_or_else(|| remotes.default_name());
    ensure!(!name.is_empty(), "an image must follow `{}`", args.source);
    let source = ImageRemote::open(&remotes, source)?;
    let fingerprint = match &source {
        ImageRemote::Streams(server) => {
            let wanted = ImagesPostSource {
                protocol: "simplestreams".to_owned(),
                server: server.addr.clone(),
                alias: name.to_owned(),
                ..ImagesPostSource::default()
            };
            ensure!(
                args.mode == CopyMode::Pull,
                "an image server sends nothing by itself: only --mode pull is possible"
            );
            ensure!(
                !args.copy_aliases,
                "--copy-aliases is for images of daemons: name the image with --alias"
            );
            pull(context, &args, ImagePut::default(), Vec::new(), wanted).await?
        }
        ImageRemote::Daemon(_) => from_daemon(context, &args, &source, name).await?,
    };
    context.printer.done(&format!("Image {fingerprint}"))
}

async fn from_daemon(
    context: &Context,
    args: &ImageCopyArgs,
    source: &ImageRemote,
    name: &str,
) -> Result<String> {
    let image = source.find(name).await?;
    let mut aliases: Vec<ImageAlias> = Vec::new();
    if args.copy_aliases {
        aliases.extend(image.aliases.clone());
    }
    let names: Vec<String> = aliases
        .iter()
        .map(|alias| alias.name.clone())
        .chain(args.aliases.clone())
        .collect();
    if !args.reuse {
        image_alias::must_be_free_in(context, args.target_project.as_deref(), &names).await?;
    }
    let put = ImagePut {
        expires_at: image.put.expires_at.clone(),
        properties: image.put.properties.clone(),
        ..ImagePut::default()
    };
    match args.mode {
        CopyMode::Pull => {
            let mut last = None;
            for place in source.places().await? {
                let wanted = source.order(&image, name, &place).await?;
                match pull(context, args, put.clone(), aliases.clone(), wanted).await {
                    Err(error) if format!("{error:#}").contains("can't be reached") => {
                        last = Some(error);
                    }
                    pulled => return pulled,
                }
            }
            Err(last.context("the source is at no address")?)
        }
        CopyMode::Push => push(context, args, put, aliases, (source, &image)).await,
        CopyMode::Relay => relay(context, args, &names, (source, &image)).await,
    }
}

fn request(args: &ImageCopyArgs, put: ImagePut, mut aliases: Vec<ImageAlias>) -> ImagesPost {
    let own = args.aliases.iter().map(|name| ImageAlias {
        name: name.clone(),
        ..ImageAlias::default()
    });
    aliases.extend(own);
    ImagesPost {
        put: ImagePut {
            auto_update: args.auto_update,
            public: args.public,
            profiles: (!args.profiles.is_empty()).then(|| args.profiles.clone()),
            ..put
        },
        aliases,
        ..ImagesPost::default()
    }
}

fn target(args: &ImageCopyArgs) -> String {
    match &args.target_project {
        Some(project) => rlxc_client::url::with_query("/1.0/images", "project", project),
        None => "/1.0/images".to_owned(),
    }
}

async fn pull(
    context: &Context,
    args: &ImageCopyArgs,
    put: ImagePut,
    aliases: Vec<ImageAlias>,
    source: ImagesPostSource,
) -> Result<String> {
    let body = ImagesPost {
        source: Some(ImagesPostSource {
            kind: "image".to_owned(),
            mode: "pull".to_owned(),
            ..source
        }),
        ..request(args, put, aliases)
    };
    let reply = context.client.post(&target(args), &body).await?;
    let label = format!("Copying {}", args.source);
    ended(context.finish(reply, &label).await?)
}

fn ended(operation: Option<Operation>) -> Result<String> {
    fingerprint_of(&operation.context("the daemon began nothing")?)
}

async fn push(
    context: &Context,
    args: &ImageCopyArgs,
    put: ImagePut,
    aliases: Vec<ImageAlias>,
    (source, image): (&ImageRemote, &Image),
) -> Result<String> {
    let ImageRemote::Daemon(daemon) = source else {
        bail!("an image server sends nothing by itself");
    };
    let place = Place::of_target(context).await?;
    let body = ImagesPost {
        source: Some(ImagesPostSource {
            kind: "image".to_owned(),
            mode: "push".to_owned(),
            fingerprint: image.fingerprint.clone(),
            ..ImagesPostSource::default()
        }),
        ..request(args, put, aliases)
    };
    let Reply::Begun(token) = context.client.post(&target(args), &body).await? else {
        bail!("the target gave no secret for the image");
    };
    let metadata = token.metadata.unwrap_or_default();
    let secret = metadata.get("secret").and_then(Value::as_str);
    let post = ImageExportPost {
        target: place.address,
        certificate: place.certificate,
        secret: secret.context("the target gave no secret")?.to_owned(),
        aliases: Vec::new(),
        project: args.target_project.clone().unwrap_or_default(),
    };
    let path = format!("{}/export", object("images", &image.fingerprint));
    let reply = daemon.client.post(&path, &post).await?;
    if let Reply::Begun(operation) = reply {
        daemon.client.follow(&operation, |_| {}).await?;
    }
    Ok(image.fingerprint.clone())
}

async fn relay(
    context: &Context,
    args: &ImageCopyArgs,
    names: &[String],
    (source, image): (&ImageRemote, &Image),
) -> Result<String> {
    let ImageRemote::Daemon(daemon) = source else {
        bail!("an image server sends nothing by itself");
    };
    ensure!(
        !args.auto_update && args.target_project.is_none(),
        "an image that goes through this client has no source to follow: leave out --auto-update and --target-project"
    );
    let directory = tempfile::tempdir().context("make room for the image")?;
    let bar = Transfer::new("Downloading", context.printer.is_quiet());
    let total = u64::try_from(image.size).unwrap_or(0);
    let files = daemon
        .client
        .export_image(&image.fingerprint, directory.path(), None, |received| {
            bar.set(received, total);
        })
        .await;
    bar.end();
    let files = files?;
    let upload = ImageUpload {
        metadata: files.first().context("the image has no file")?,
        rootfs: files.get(1).map(std::path::PathBuf::as_path),
        public: args.public,
        properties: image.put.properties.clone().into_iter().collect(),
    };
    let bar = Transfer::new("Uploading", context.printer.is_quiet());
    let reply = context
        .client
        .upload_image(&upload, {
            let bar = bar.clone();
            move |sent, total| bar.set(sent, total)
        })
        .await;
    bar.end();
    let fingerprint = ended(context.finish(reply?, "Importing the image").await?)?;
    for name in names {
        image_alias::point(context, name, &fingerprint, "").await?;
    }
    Ok(fingerprint)
}
