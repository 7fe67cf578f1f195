//! Secrets: one opens one image for one download, or lets one image in. Each is an operation of class `token`, which clients
//! see and cancel like any other; the first use ends it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rlxc_api::{ImagesPost, Operation, Requestor};
use serde_json::{Value, json};

use super::import::Draft;
use super::resolve::find;
use super::url;
use crate::context::App;
use crate::error::{Error, Result};
use crate::operation::{Class, Handle, Noted, OperationSpec};

/// A secret that nobody used is forgotten after this.
const LIFETIME: Duration = Duration::from_secs(3600);
const SECRET: &str = "secret";

/// What a secret is good for; the description of its operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Download,
    Upload,
}

impl Use {
    fn text(self) -> &'static str {
        match self {
            Self::Download => "Image download token",
            Self::Upload => "Image upload token",
        }
    }
}

/// Makes a secret that opens an image to whoever has it, once.
pub async fn for_download(
    app: &Arc<App>,
    who: &Requestor,
    project: &str,
    fingerprint: &str,
) -> Result<Operation> {
    let image = find(app, project, fingerprint).await?;
    let told = BTreeMap::new();
    let made = open(app, who, (project, &image.fingerprint), Use::Download, told)?;
    let action = "image-secret-created";
    super::event(app, action, project, &image.fingerprint, Some(who.clone()));
    Ok(made)
}

/// Makes a secret that lets the image in that a request in the mode `push` announces.
pub async fn for_upload(
    app: &Arc<App>,
    who: &Requestor,
    project: &str,
    post: ImagesPost,
) -> Result<Operation> {
    app.project(project).await?;
    let source = post.source.as_ref();
    let fingerprint = source.map_or("", |source| source.fingerprint.as_str());
    let is_whole = fingerprint.len() == 64 && fingerprint.bytes().all(|c| c.is_ascii_hexdigit());
    if !is_whole {
        return Err(Error::Invalid(
            "an image that is to be pushed needs its whole fingerprint in the source".to_owned(),
        ));
    }
    let fingerprint = fingerprint.to_ascii_lowercase();
    super::import::refuse_known(app, project, &fingerprint).await?;
    let told = BTreeMap::from([
        ("aliases".to_owned(), json!(post.aliases)),
        ("put".to_owned(), json!(post.put)),
    ]);
    open(app, who, (project, &fingerprint), Use::Upload, told)
}

fn open(
    app: &Arc<App>,
    who: &Requestor,
    (project, fingerprint): (&str, &str),
    purpose: Use,
    mut metadata: BTreeMap<String, Value>,
) -> Result<Operation> {
    let mut secret = [0; 32];
    openssl::rand::rand_bytes(&mut secret).map_err(Error::internal)?;
    let secret = hex::encode(secret);
    metadata.insert(SECRET.to_owned(), json!(secret));
    let spec = OperationSpec {
        class: Class::Token,
        description: purpose.text(),
        project: project.to_owned(),
        resources: BTreeMap::from([("images".to_owned(), vec![url(fingerprint)])]),
        metadata,
        may_cancel: true,
        noted: Noted::Later,
        requestor: Some(who.clone()),
    };
    let handle = app.operations.open(app.operations.next_id(), spec);
    let used = handle.expect_socket(secret);
    let (view, app) = (handle.view(), Arc::clone(app));
    tokio::spawn(async move {
        let outcome = tokio::select! {
            // Whoever claims it drops the other end.
            _claimed = used => Ok(BTreeMap::new()),
            () = handle.cancellation().cancelled() => Err(Error::Cancelled),
            () = tokio::time::sleep(LIFETIME) => {
                Err(Error::Conflict("nobody used the secret in time".to_owned()))
            }
            () = app.shutdown.cancelled() => return,
        };
        app.operations.close(&handle, outcome).await;
    });
    Ok(view)
}

fn find_token(
    app: &App,
    (project, fingerprint): (&str, &str),
    secret: &str,
    purpose: Use,
) -> Option<Handle> {
    if secret.is_empty() {
        return None;
    }
    let image = url(&fingerprint.to_ascii_lowercase());
    app.operations.find_live(|handle| {
        let view = handle.view();
        handle.description() == purpose.text()
            && handle.project() == project
            && handle.awaits_socket(secret)
            && view
                .resources
                .get("images")
                .is_some_and(|urls| urls.contains(&image))
            && is_secret_of(&view, secret)
    })
}

/// Whether an operation is opened by a secret.
pub fn is_secret_of(operation: &Operation, secret: &str) -> bool {
    let kept = operation.metadata.as_ref().and_then(|all| all.get(SECRET));
    let kept = kept.and_then(Value::as_str).unwrap_or_default();
    // How long it takes must not tell how much of it was right.
    !kept.is_empty()
        && kept.len() == secret.len()
        && openssl::memcmp::eq(kept.as_bytes(), secret.as_bytes())
}

/// Whether a secret opens an image; it stays good.
pub fn opens(app: &App, project: &str, fingerprint: &str, secret: &str) -> bool {
    find_token(app, (project, fingerprint), secret, Use::Download).is_some()
}

/// Uses the secret of an image up; tells whether it was good.
pub fn use_up(app: &App, project: &str, fingerprint: &str, secret: &str) -> bool {
    let token = find_token(app, (project, fingerprint), secret, Use::Download);
    token.is_some_and(|token| token.use_secret(secret))
}

/// Uses the secret of an upload up; gives back what was said of the image when it was made.
pub fn admit(app: &App, project: &str, fingerprint: &str, secret: &str) -> Result<Draft> {
    let token = find_token(app, (project, fingerprint), secret, Use::Upload);
    let token = token.ok_or(Error::Forbidden)?;
    if !token.use_secret(secret) {
        return Err(Error::Forbidden);
    }
    let told = token.view().metadata.unwrap_or_default();
    let read = |key: &str| told.get(key).cloned().unwrap_or_default();
    let post = ImagesPost {
        put: serde_json::from_value(read("put")).map_err(Error::internal)?,
        aliases: serde_json::from_value(read("aliases")).map_err(Error::internal)?,
        ..ImagesPost::default()
    };
    Ok(super::create::draft(&post))
}
