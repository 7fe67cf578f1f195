//! Sending an image to another daemon, which gave a secret out for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::TryStreamExt as _;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use rlxc_api::{ImageExportPost, Operation, Requestor, StatusCode};

use super::create::server_config;
use super::fetch::proxies;
use super::resolve::find;
use super::{outgoing, url};
use crate::context::App;
use crate::error::{Error, Result};
use crate::model::Image;
use crate::operation::{Handle, OperationSpec};
use crate::peer::{Peer, PeerError, escape};

/// Begins to send an image.
pub async fn push(
    app: &Arc<App>,
    who: &Requestor,
    project: &str,
    fingerprint: &str,
    post: ImageExportPost,
) -> Result<Operation> {
    let image = find(app, project, fingerprint).await?;
    if post.target.is_empty() || post.secret.is_empty() {
        return Err(Error::Invalid(
            "an image is sent to a `target` with the `secret` that it gave out".to_owned(),
        ));
    }
    let of = url(&image.fingerprint);
    let spec = OperationSpec::task("Exporting image", project, "images", &of)
        .requested_by(who)
        .cancellable();
    let app2 = Arc::clone(app);
    Ok(app.operations.spawn(spec, move |operation| async move {
        tokio::select! {
            sent = send(&app2, &operation, &image, &post) => sent?,
            () = operation.cancellation().cancelled() => return Err(Error::Cancelled),
        }
        Ok(BTreeMap::new())
    }))
}

async fn send(app: &App, operation: &Handle, image: &Image, post: &ImageExportPost) -> Result<()> {
    let failed = |error: PeerError| {
        let short = &image.fingerprint[..12];
        Error::failed(format!("send image {short} to `{}`", post.target), error)
    };
    let proxies = proxies(&server_config(app).await?);
    let peer =
        Peer::new(&post.target, &post.certificate, &post.project, proxies).map_err(failed)?;
    let outgoing = outgoing::open(app, image).await?;
    let headers = headers(image, post, &outgoing);
    let (total, mut done, mut told) = (outgoing.length.max(1), 0, 0);
    let progress = operation.clone();
    let counted = outgoing.content.inspect_ok(move |piece| {
        done += piece.len() as u64;
        let percent = done.saturating_mul(100) / total;
        if percent != std::mem::replace(&mut told, percent) {
            progress.set("create_image_progress", format!("Sending: {percent}%"));
        }
    });
    let body = StreamBody::new(counted.map_ok(Frame::data)).boxed_unsync();
    let begun = peer.upload(headers, body).await.map_err(failed)?;
    let ended = peer.wait(&begun.id, &post.secret).await.map_err(failed)?;
    if ended.status_code == StatusCode::Success {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "`{}` did not take image {}: {}",
        post.target,
        &image.fingerprint[..12],
        ended.err
    )))
}

/// What is said of it, in both dialects.
fn headers(
    image: &Image,
    post: &ImageExportPost,
    outgoing: &outgoing::Outgoing,
) -> Vec<(String, String)> {
    let pairs = |pairs: Vec<(&str, &str)>| {
        let pairs = pairs.into_iter();
        let pairs = pairs.map(|(key, value)| format!("{}={}", escape(key), escape(value)));
        pairs.collect::<Vec<_>>().join("&")
    };
    let properties = image.properties.iter();
    let properties = properties.map(|(key, value)| (key.as_str(), value.as_str()));
    let aliases = post.aliases.iter().map(|alias| ("alias", &*alias.name));
    let told = [
        ("fingerprint", image.fingerprint.clone()),
        ("secret", post.secret.clone()),
        ("filename", image.filename.clone()),
        ("properties", pairs(properties.collect())),
        ("aliases", pairs(aliases.collect())),
    ];
    let mut headers = vec![
        ("Content-Type".to_owned(), outgoing.kind.clone()),
        ("Content-Length".to_owned(), outgoing.length.to_string()),
    ];
    for (name, value) in told.iter().filter(|(_, value)| !value.is_empty()) {
        for dialect in ["LXD", "Incus"] {
            headers.push((format!("X-{dialect}-{name}"), value.clone()));
        }
    }
    headers
}
