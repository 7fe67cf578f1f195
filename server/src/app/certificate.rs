//! Trusted certificates, and the three ways in: somebody trusted adds one, a token, the password.

use std::sync::Arc;

use rlxc_api::{Certificate, CertificatePut, CertificatesPost, Operation, Requestor};

use super::join_token;
use crate::context::{App, blocking};
use crate::db::{self, certificates, join_tokens, projects};
use crate::error::{Error, Result};
use crate::trust::{ClientCertificate, Kind, Trusted, read_secret, verify_password};

/// Who wants in.
#[derive(Debug)]
pub struct Joining {
    /// Whether they are in already.
    pub trusted: bool,
    /// The certificate that they showed.
    pub shown: Option<Arc<ClientCertificate>>,
    /// For events.
    pub requestor: Requestor,
}

/// What a POST made.
#[derive(Debug)]
pub enum Created {
    /// A certificate is trusted; its URL.
    Certificate(String),
    /// A token was given out.
    Token(Box<Operation>),
}

/// The URL of a certificate.
pub fn url(fingerprint: &str) -> String {
    format!("/1.0/certificates/{fingerprint}")
}

fn render(trusted: Trusted) -> Certificate {
    Certificate {
        put: CertificatePut {
            name: trusted.name,
            kind: trusted.kind.text().to_owned(),
            restricted: trusted.restricted,
            projects: trusted.projects.into_iter().collect(),
            certificate: trusted.certificate,
            description: trusted.description,
        },
        fingerprint: trusted.fingerprint,
    }
}

/// All that are trusted.
pub async fn list(app: &App) -> Result<Vec<Certificate>> {
    let all = app.db.read(certificates::list).await?;
    Ok(all.into_iter().map(render).collect())
}

async fn find(app: &App, prefix: &str) -> Result<Trusted> {
    let all = app.db.read(certificates::list).await?;
    let wanted = prefix.to_lowercase();
    let mut fitting = all
        .into_iter()
        .filter(|trusted| !wanted.is_empty() && trusted.fingerprint.starts_with(&wanted));
    match (fitting.next(), fitting.next()) {
        (Some(trusted), None) => Ok(trusted),
        (None, _) => Err(Error::not_found("certificate", prefix)),
        (Some(_), Some(_)) => Err(Error::Invalid(format!(
            "`{prefix}` is the beginning of several fingerprints"
        ))),
    }
}

/// One, by its fingerprint or the beginning of it.
pub async fn get(app: &App, prefix: &str) -> Result<Certificate> {
    find(app, prefix).await.map(render)
}

/// Trusts a certificate, or gives out a token.
pub async fn create(app: &Arc<App>, joining: Joining, post: CertificatesPost) -> Result<Created> {
    if post.token {
        if !joining.trusted {
            return Err(Error::Forbidden);
        }
        if post.put.name.trim().is_empty() {
            return Err(Error::Invalid(
                "a token needs the name of the client that it is for".to_owned(),
            ));
        }
        let kind = parse_kind(&post.put)?;
        check_projects(app, &post.put).await?;
        return join_token::create(app, &joining.requestor, post, kind)
            .await
            .map(|operation| Created::Token(Box::new(operation)));
    }
    let secret = [post.trust_token.as_str(), post.password.as_str()]
        .into_iter()
        .find(|text| !text.is_empty());
    let certificate = choose_certificate(&joining, &post.put.certificate)?;
    app.trust.check_joining(&certificate)?;
    let mut trusted = Trusted {
        fingerprint: certificate.fingerprint().to_owned(),
        name: choose_name(&post.put.name, &certificate),
        kind: parse_kind(&post.put)?,
        restricted: post.put.restricted,
        projects: post.put.projects.iter().cloned().collect(),
        certificate: certificate.pem()?,
        description: post.put.description.clone(),
    };
    let used = if joining.trusted {
        check_projects(app, &post.put).await?;
        add(app, trusted.clone()).await?;
        None
    } else {
        let given = secret.ok_or(Error::Forbidden)?;
        let used = join(app, &mut trusted, given).await?;
        Some(used)
    };
    app.trust.reload(&app.db).await?;
    if let Some(Some(operation)) = used {
        join_token::close_used(app, &operation).await;
    }
    let url = url(&trusted.fingerprint);
    app.resource_event(
        "certificate-created",
        url.clone(),
        &trusted.name,
        &joining.requestor,
    );
    Ok(Created::Certificate(url))
}

/// Strangers add what they have the key of, nothing else.
fn choose_certificate(joining: &Joining, given: &str) -> Result<ClientCertificate> {
    if joining.trusted && !given.is_empty() {
        return ClientCertificate::parse(given);
    }
    let shown = joining.shown.as_deref().cloned();
    shown.ok_or_else(|| {
        Error::Invalid("no client certificate was shown: there is nothing to trust".to_owned())
    })
}

fn choose_name(given: &str, certificate: &ClientCertificate) -> String {
    if !given.is_empty() {
        return given.to_owned();
    }
    let fallback = || certificate.fingerprint()[..12].to_owned();
    certificate
        .common_name()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(fallback)
}

fn parse_kind(put: &CertificatePut) -> Result<Kind> {
    Kind::parse(&put.kind)
        .ok_or_else(|| Error::Invalid(format!("`{}` is no type of certificate", put.kind)))
}

async fn check_projects(app: &App, put: &CertificatePut) -> Result<()> {
    let named = put.projects.clone();
    app.db
        .read(move |tx| {
            for name in named {
                if projects::find_id(tx, &name)?.is_none() {
                    return Err(Error::not_found("project", name));
                }
            }
            Ok(())
        })
        .await
}

fn already() -> Error {
    // Some clients look for these very words.
    Error::Conflict("Certificate already in trust store".to_owned())
}

fn insert(tx: &rusqlite::Transaction<'_>, trusted: &Trusted, now: &str) -> Result<(), Error> {
    certificates::insert(tx, trusted, now).map_err(|error| {
        if error.is_unique_violation() {
            already()
        } else {
            error.into()
        }
    })
}

async fn add(app: &App, trusted: Trusted) -> Result<()> {
    let now = app.now();
    app.db.write(move |tx| insert(tx, &trusted, &now)).await
}

/// Lets a stranger in by a token, which is used up in the same transaction, or by the password. Returns the operation of
/// the token.
async fn join(app: &Arc<App>, trusted: &mut Trusted, given: &str) -> Result<Option<String>> {
    let now = app.now();
    if let Some(secret) = read_secret(given) {
        let entry = trusted.clone();
        let (joined, operation) = app
            .db
            .write(move |tx| {
                let token = join_tokens::take(tx, &secret, &now)?.ok_or(Error::Forbidden)?;
                let joined = Trusted {
                    name: if token.name.is_empty() {
                        entry.name.clone()
                    } else {
                        token.name
                    },
                    kind: token.kind,
                    restricted: token.restricted,
                    projects: token.projects,
                    ..entry
                };
                insert(tx, &joined, &now)?;
                Ok::<_, Error>((joined, token.operation))
            })
            .await?;
        *trusted = joined;
        return Ok(Some(operation));
    }
    let config = app.db.read(db::config::load).await?;
    let kept = config
        .get("core.trust_password")
        .cloned()
        .ok_or(Error::Forbidden)?;
    let given = given.to_owned();
    let _permit = app
        .trust
        .password_gate
        .acquire()
        .await
        .map_err(Error::internal)?;
    if !blocking(move || verify_password(&given, &kept)).await {
        return Err(Error::Forbidden);
    }
    add(app, trusted.clone()).await?;
    Ok(None)
}

/// Refuses what a client with restrictions may not change of its own entry: all but the certificate.
pub fn check_own(current: &CertificatePut, put: &CertificatePut) -> Result<()> {
    let mut other = put.clone();
    other.certificate.clone_from(&current.certificate);
    let normal = |put: &CertificatePut| {
        let mut projects = put.projects.clone();
        projects.sort();
        (
            put.name.clone(),
            Kind::parse(&put.kind),
            put.restricted,
            projects,
        )
    };
    if normal(&other) == normal(current) {
        return Ok(());
    }
    Err(Error::Forbidden)
}

/// Replaces name, reach, or the certificate itself.
pub async fn update(
    app: &App,
    who: &Requestor,
    fingerprint: &str,
    put: CertificatePut,
) -> Result<()> {
    let current = find(app, fingerprint).await?;
    check_projects(app, &put).await?;
    let (new_fingerprint, pem) = if put.certificate.trim().is_empty() {
        (current.fingerprint.clone(), current.certificate.clone())
    } else {
        let certificate = ClientCertificate::parse(&put.certificate)?;
        if certificate.fingerprint() != current.fingerprint {
            app.trust.check_joining(&certificate)?;
        }
        (certificate.fingerprint().to_owned(), certificate.pem()?)
    };
    let new = Trusted {
        fingerprint: new_fingerprint,
        kind: parse_kind(&put)?,
        name: put.name,
        restricted: put.restricted,
        projects: put.projects.into_iter().collect(),
        certificate: pem,
        description: put.description,
    };
    let (url, name) = (url(&new.fingerprint), new.name.clone());
    app.db
        .write(move |tx| {
            let there = certificates::update(tx, &current.fingerprint, &new).map_err(|error| {
                if error.is_unique_violation() {
                    already()
                } else {
                    error.into()
                }
            })?;
            if there {
                Ok(())
            } else {
                Err(Error::not_found("certificate", current.fingerprint))
            }
        })
        .await?;
    app.trust.reload(&app.db).await?;
    app.resource_event("certificate-updated", url, &name, who);
    Ok(())
}

/// Trusts one no longer; its connections that are open may ask nothing any more.
pub async fn delete(app: &App, who: &Requestor, prefix: &str) -> Result<()> {
    let found = find(app, prefix).await?;
    let fingerprint = found.fingerprint.clone();
    app.db
        .write(move |tx| certificates::delete(tx, &fingerprint).map_err(Error::from))
        .await?;
    app.trust.reload(&app.db).await?;
    app.resource_event(
        "certificate-deleted",
        url(&found.fingerprint),
        &found.name,
        who,
    );
    Ok(())
}
