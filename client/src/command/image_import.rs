//! `image import`: a tarball, metadata and a root file system, a directory, or a URL.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use rlxc_api::{ImagePut, ImagesPost, ImagesPostSource, Operation};
use rlxc_client::transfer::ImageUpload;

use super::image_alias;
use super::image_source::fingerprint_of;
use super::keys;
use crate::cli::{ImageImportArgs, Pair};
use crate::context::Context;
use crate::progress::Transfer;

/// What the words after the first mean.
struct Words {
    rootfs: Option<PathBuf>,
    properties: Vec<Pair>,
}

pub(crate) async fn run(context: &Context, args: ImageImportArgs) -> Result<()> {
    let words = read(&args.words)?;
    if !args.reuse {
        image_alias::must_be_free(context, &args.aliases).await?;
    }
    let is_url = args.file.starts_with("https://") || args.file.starts_with("http://");
    let operation = if is_url {
        ensure!(words.rootfs.is_none(), "a URL is a whole image");
        from_url(context, &args, words).await?
    } else {
        upload(context, &args, words).await?
    };
    let fingerprint = fingerprint_of(&operation.context("the daemon began nothing")?)?;
    for alias in &args.aliases {
        image_alias::point(context, alias, &fingerprint, "").await?;
    }
    context.printer.done(&format!("Image {fingerprint}"))
}

fn read(words: &[String]) -> Result<Words> {
    let (properties, files): (Vec<_>, Vec<_>) = words
        .iter()
        // The remote was taken off its word.
        .filter(|word| !word.is_empty())
        .partition(|word| word.contains('=') && !Path::new(word).exists());
    let pairs = properties.into_iter().map(|word| {
        let parsed = word.parse::<Pair>();
        parsed.map_err(|error| anyhow::anyhow!("`{word}`: {error}"))
    });
    let rootfs = match files[..] {
        [] => None,
        [only] => Some(PathBuf::from(only)),
        [_, second, ..] => bail!("`{second}` is too much: an image has one root file system"),
    };
    Ok(Words {
        rootfs,
        properties: pairs.collect::<Result<_>>()?,
    })
}

async fn from_url(
    context: &Context,
    args: &ImageImportArgs,
    words: Words,
) -> Result<Option<Operation>> {
    let body = ImagesPost {
        put: ImagePut {
            public: args.public,
            properties: keys::map(words.properties),
            ..ImagePut::default()
        },
        source: Some(ImagesPostSource {
            kind: "url".to_owned(),
            mode: "pull".to_owned(),
            url: args.file.clone(),
            ..ImagesPostSource::default()
        }),
        ..ImagesPost::default()
    };
    let reply = context.client.post("/1.0/images", &body).await?;
    let label = format!("Importing {}", args.file);
    Ok(context.finish(reply, &label).await?)
}

async fn upload(
    context: &Context,
    args: &ImageImportArgs,
    words: Words,
) -> Result<Option<Operation>> {
    let file = Path::new(&args.file);
    let packed = file.is_dir().then(|| pack(file)).transpose()?;
    let bar = Transfer::new("Uploading", context.printer.is_quiet());
    let pairs = words.properties.into_iter();
    let upload = ImageUpload {
        metadata: packed.as_ref().map_or(file, tempfile::NamedTempFile::path),
        rootfs: words.rootfs.as_deref(),
        public: args.public,
        properties: pairs.map(|pair| (pair.key, pair.value)).collect(),
    };
    let reply = context
        .client
        .upload_image(&upload, {
            let bar = bar.clone();
            move |sent, total| bar.set(sent, total)
        })
        .await;
    bar.end();
    Ok(context.finish(reply?, "Importing the image").await?)
}

/// Packs a directory with `metadata.yaml`, `rootfs` and perhaps `templates`.
fn pack(directory: &Path) -> Result<tempfile::NamedTempFile> {
    let shown = directory.display();
    for needed in ["metadata.yaml", "rootfs"] {
        ensure!(
            directory.join(needed).exists(),
            "{shown} is no image: it has no `{needed}`"
        );
    }
    let file = tempfile::NamedTempFile::new().context("make room for the image")?;
    let templates = directory.join("templates");
    #[expect(
        clippy::disallowed_methods,
        reason = "the client may not link the daemon's way of running tools"
    )]
    let status = Command::new("tar")
        .args(["--numeric-owner", "--xattrs", "--acls", "-C"])
        .arg(directory)
        .args(["-cf", "-", "metadata.yaml", "rootfs"])
        .args(templates.exists().then_some("templates"))
        .stdin(Stdio::null())
        .stdout(file.reopen().context("open the packed image")?)
        .status()
        .context("run tar")?;
    ensure!(status.success(), "tar could not pack {shown}: {status}");
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_apart() {
        let words = |words: &[&str]| {
            read(
                &words
                    .iter()
                    .map(|&word| word.to_owned())
                    .collect::<Vec<_>>(),
            )
        };
        let read = words(&["root.squashfs", "", "os=x"]).unwrap();
        assert_eq!(read.rootfs.as_deref(), Some(Path::new("root.squashfs")));
        assert_eq!(read.properties.len(), 1);
        assert!(words(&["a", "b"]).is_err());
        assert!(words(&["=x"]).is_err());
    }
}
