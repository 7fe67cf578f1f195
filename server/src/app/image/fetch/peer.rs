//! Images of other daemons that speak this API: public ones without anything, others with a secret that somebody whom that
//! daemon trusts got there.

use rlxc_api::Image as View;

use super::{Wanted, proxies, unreachable};
use crate::app::image::import::Draft;
use crate::app::image::incoming::Incoming;
use crate::app::image::receive::{Stage, receive};
use crate::context::App;
use crate::error::{Error, Result};
use crate::model::Config;
use crate::operation::Handle;
use crate::peer::{Peer, PeerError};
use crate::simplestreams::architecture;
use crate::web::WebError;

/// How often an image that anybody may have is asked for until all of it is here.
const ATTEMPTS: u32 = 3;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(500);

/// An image that another daemon has.
#[derive(Debug)]
pub(super) struct Found {
    peer: Peer,
    fingerprint: String,
    /// What it says of it; a private one can't be looked at beforehand, for its secret is good for one use.
    view: Option<View>,
}

/// Asks the daemon what it has under that name.
pub(super) async fn find(wanted: &Wanted, config: &Config) -> Result<Found> {
    let failed = |error| refuse(wanted, error);
    let peer = Peer::new(
        &wanted.server,
        &wanted.certificate,
        &wanted.project,
        proxies(config),
    )
    .map_err(failed)?;
    if !wanted.secret.is_empty() {
        let fingerprint = wanted.name.clone();
        return Ok(Found {
            peer,
            fingerprint,
            view: None,
        });
    }
    let target = peer.find_alias(&wanted.name).await.map_err(failed)?;
    let name = target.unwrap_or_else(|| wanted.name.clone());
    let view = peer.find_image(&name).await.map_err(failed)?;
    let known = architecture::debian_name(&view.architecture);
    if known.is_some_and(|name| name != architecture::native()) {
        tracing::info!(
            image = view.fingerprint,
            architecture = view.architecture,
            server = wanted.server,
            "fetched for another architecture"
        );
    }
    Ok(Found {
        peer,
        fingerprint: view.fingerprint.clone(),
        view: Some(view),
    })
}

impl Found {
    pub(super) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// What the other daemon says of it, where the draft says nothing else.
    pub(super) fn describe(&self, draft: &mut Draft) {
        let Some(view) = &self.view else { return };
        let mut properties = view.put.properties.clone();
        properties.extend(std::mem::take(&mut draft.properties));
        draft.properties = properties;
        if draft.filename.is_empty() {
            draft.filename.clone_from(&view.filename);
        }
        if draft.expires_at.is_none() && !view.put.expires_at.is_none() {
            draft.expires_at = Some(view.put.expires_at.0.clone());
        }
    }

    pub(super) async fn download(
        &self,
        app: &App,
        operation: &Handle,
        wanted: &Wanted,
    ) -> Result<Incoming> {
        let attempts = if wanted.secret.is_empty() {
            ATTEMPTS
        } else {
            1
        };
        let mut attempt = 1;
        loop {
            let done = tokio::select! {
                done = self.attempt(app, operation, wanted) => done,
                () = operation.cancellation().cancelled() => return Err(Error::Cancelled),
            };
            match done {
                Err(Stage::Receiving(error)) if attempt < attempts => {
                    tracing::info!(%error, attempt, "an image broke off on its way");
                    attempt += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                done => return done.map_err(Stage::into_error),
            }
        }
    }

    async fn attempt(
        &self,
        app: &App,
        operation: &Handle,
        wanted: &Wanted,
    ) -> Result<Incoming, Stage> {
        let response = self
            .peer
            .export(&self.fingerprint, &wanted.secret)
            .await
            .map_err(|error| Stage::Other(refuse(wanted, error)))?;
        let incoming = receive(app, response, operation).await?;
        if incoming
            .fingerprint
            .starts_with(&self.fingerprint.to_ascii_lowercase())
        {
            return Ok(incoming);
        }
        Err(Stage::Other(Error::Invalid(format!(
            "what `{}` sent has the fingerprint {} instead of {}",
            wanted.server, incoming.fingerprint, self.fingerprint
        ))))
    }
}

pub(super) fn refuse(wanted: &Wanted, error: PeerError) -> Error {
    match error {
        PeerError::Web(WebError::Unreachable { source, .. }) => unreachable(wanted, &source),
        PeerError::Refused { code: 404, .. } => Error::NotFound {
            kind: "image",
            name: wanted.name.clone(),
            hint: format!(" on `{}`, or it is not public there", wanted.server),
        },
        error => Error::failed(
            format!("get image `{}` from `{}`", wanted.name, wanted.server),
            error,
        ),
    }
}
