//! `/1.0/certificates`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use rlxc_api::{Certificate, CertificatesPost};

use super::edit::Edit;
use super::extract::{Body, Params};
use super::identity::{Caller, Identity, Rights};
use super::render::{Reply, accepted, created, done, listing, tagged};
use crate::app::certificate::{self, Created, Joining};
use crate::context::App;

type Daemon = State<Arc<App>>;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/1.0/certificates", get(list).post(create))
        .route(
            "/1.0/certificates/{fingerprint}",
            get(show).put(change).patch(change).delete(remove),
        )
}

async fn list(State(app): Daemon, caller: Caller, params: Params) -> Reply {
    let mut all = certificate::list(&app).await?;
    all.retain(|item| caller.rights == Rights::All || caller.has_shown(&item.fingerprint));
    listing(&params, all, |item: &Certificate| {
        certificate::url(&item.fingerprint)
    })
}

async fn create(State(app): Daemon, caller: Caller, Body(post): Body<CertificatesPost>) -> Reply {
    let joining = Joining {
        trusted: caller.is_trusted(),
        shown: caller.certificate,
        requestor: caller.requestor,
    };
    match certificate::create(&app, joining, post).await? {
        Created::Certificate(url) => created(&url),
        Created::Token(operation) => accepted(*operation),
    }
}

async fn show(State(app): Daemon, Path(fingerprint): Path<String>) -> Reply {
    let found = certificate::get(&app, &fingerprint).await?;
    let put = found.put.clone();
    tagged(found, &put)
}

async fn change(
    State(app): Daemon,
    caller: Caller,
    Path(fingerprint): Path<String>,
    edit: Edit,
) -> Reply {
    let current = certificate::get(&app, &fingerprint).await?;
    let put = edit.apply("certificate", &current.put)?;
    if caller.rights != Rights::All {
        certificate::check_own(&current.put, &put)?;
    }
    certificate::update(&app, &caller.requestor, &current.fingerprint, put).await?;
    done()
}

async fn remove(
    State(app): Daemon,
    Identity(who): Identity,
    Path(fingerprint): Path<String>,
) -> Reply {
    certificate::delete(&app, &who, &fingerprint).await?;
    done()
}
