//! Join tokens: rows that say who may come in, each with an operation of class `token` that clients list and cancel.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp as Time;
use rlxc_api::{CertificatesPost, Operation, Requestor};
use serde_json::{Value, json};

use crate::clock::{self, NO_TIME};
use crate::context::App;
use crate::db::{self, join_tokens};
use crate::error::{Error, Result};
use crate::operation::{Class, Handle, Noted, OperationSpec};
use crate::trust::{JoinToken, Kind, parse_lifetime, reachable_addresses};

/// Gives out a token.
pub async fn create(
    app: &Arc<App>,
    who: &Requestor,
    post: CertificatesPost,
    kind: Kind,
) -> Result<Operation> {
    let mut secret = [0; 32];
    openssl::rand::rand_bytes(&mut secret).map_err(Error::internal)?;
    let config = app.db.read(db::config::load).await?;
    let lifetime = config
        .get("core.remote_token_expiry")
        .map_or(Ok(None), |text| parse_lifetime(text))
        .map_err(Error::Invalid)?;
    let now = app.clock.now();
    let expires_at = lifetime
        .map(|lifetime| now.checked_add(lifetime).map_err(Error::internal))
        .transpose()?
        .map(clock::format);
    let token = JoinToken {
        operation: app.operations.next_id(),
        secret: hex::encode(secret),
        name: post.put.name,
        kind,
        restricted: post.put.restricted,
        projects: post.put.projects.into_iter().collect(),
        created_at: clock::format(now),
        expires_at,
    };
    let row = token.clone();
    app.db
        .write(move |tx| join_tokens::insert(tx, &row).map_err(Error::from))
        .await?;
    open(app, token, Some(who.clone())).await
}

/// Takes up what was given out before the daemon was started.
pub async fn resume(app: &Arc<App>) -> Result<()> {
    for token in app.db.read(join_tokens::list).await? {
        open(app, token, None).await?;
    }
    Ok(())
}

/// Makes the operation of a token, and ends it when the time is over or somebody cancels it.
async fn open(app: &Arc<App>, token: JoinToken, who: Option<Requestor>) -> Result<Operation> {
    let id = token.operation.clone();
    let spec = OperationSpec {
        class: Class::Token,
        description: "Executing operation",
        // Of no project: its metadata is a key to all of them.
        project: String::new(),
        resources: BTreeMap::new(),
        metadata: metadata(app, &token).await?,
        may_cancel: true,
        noted: Noted::Later,
        requestor: who,
    };
    let handle = app.operations.open_since(id, spec, token.created_at);
    let view = handle.view();
    let end = token
        .expires_at
        .as_deref()
        .and_then(|text| text.parse().ok());
    // Not among the tasks that shutting down waits for: a token outlives the daemon.
    tokio::spawn(watch(Arc::clone(app), handle, end));
    Ok(view)
}

async fn metadata(app: &App, token: &JoinToken) -> Result<BTreeMap<String, Value>> {
    let certificate = app.trust.server_certificate().await?;
    let addresses = reachable_addresses(&app.trust.listeners.addresses().await);
    let request = json!({
        "name": token.name,
        "type": token.kind.text(),
        "restricted": token.restricted,
        "projects": token.projects,
        "certificate": "",
        "password": "",
        "token": true,
    });
    Ok(BTreeMap::from([
        ("secret".to_owned(), json!(token.secret)),
        ("fingerprint".to_owned(), json!(certificate.fingerprint())),
        ("addresses".to_owned(), json!(addresses)),
        ("request".to_owned(), request),
        (
            "expiresAt".to_owned(),
            json!(token.expires_at.as_deref().unwrap_or(NO_TIME)),
        ),
    ]))
}

async fn watch(app: Arc<App>, handle: Handle, end: Option<Time>) {
    let expiry = async {
        let Some(end) = end else {
            return std::future::pending().await;
        };
        // In steps: the clock may be set, and a timer has a longest time.
        while let Ok(left) = Duration::try_from(app.clock.now().until(end).unwrap_or_default())
            && !left.is_zero()
        {
            tokio::time::sleep(left.min(Duration::from_secs(3600))).await;
        }
    };
    let outcome = tokio::select! {
        _used = handle.wait() => return,
        () = handle.cancellation().cancelled() => Err(Error::Cancelled),
        () = expiry => Err(Error::Conflict("the token has expired".to_owned())),
    };
    let id = handle.id().to_owned();
    let removed: Result<()> = app
        .db
        .write(move |tx| join_tokens::delete(tx, &id).map_err(Error::from))
        .await;
    app.operations
        .close(&handle, removed.and(outcome.map(|()| BTreeMap::new())))
        .await;
}

/// Ends the operation of a token that let somebody in.
pub(super) async fn close_used(app: &App, operation: &str) {
    if let Some(handle) = app.operations.live(operation) {
        app.operations.close(&handle, Ok(BTreeMap::new())).await;
    }
}
