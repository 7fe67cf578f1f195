//! The daemon's own certificate: looked at, renewed, replaced.

use rlxc_api::{Requestor, ServerCertificate, ServerCertificatePut};

use crate::context::App;
use crate::error::Result;
use crate::trust;

fn render(certificate: &trust::ServerCertificate) -> ServerCertificate {
    let (valid_from, valid_to) = certificate.lifetime();
    ServerCertificate {
        fingerprint: certificate.fingerprint().to_owned(),
        certificate: certificate.pem().to_owned(),
        valid_from,
        valid_to,
    }
}

/// What is shown to clients now.
pub async fn get(app: &App) -> Result<ServerCertificate> {
    Ok(render(&*app.trust.server_certificate().await?))
}

/// Shows another one from now on: the one given, or a new one of our own making. Clients that know the old one have to be told.
pub async fn change(
    app: &App,
    who: &Requestor,
    put: ServerCertificatePut,
) -> Result<ServerCertificate> {
    let made = app
        .trust
        .change_certificate(move |directory| {
            if put.certificate.is_empty() && put.key.is_empty() {
                trust::ServerCertificate::renew(directory)
            } else {
                trust::ServerCertificate::replace(directory, &put.certificate, &put.key)
            }
        })
        .await?;
    tracing::info!(
        fingerprint = made.fingerprint(),
        "another server certificate"
    );
    // LXD's name for it, though there is no cluster.
    app.resource_event(
        "cluster-certificate-updated",
        "/1.0/cluster/certificate".to_owned(),
        made.fingerprint(),
        who,
    );
    Ok(render(&made))
}
