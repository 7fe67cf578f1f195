//! `config trust`.

use anyhow::{Context as _, Result, bail, ensure};
use rlxc_api::{
    Certificate, CertificateAddToken, CertificatePut, CertificatesPost, Operation, Server,
    Timestamp,
};
use rlxc_client::{Reply, tls};
use serde_json::Value;

use super::{keys, object};
use crate::cli::{ReachArgs, TrustAddArgs, TrustAddCertificateArgs, TrustVerb};
use crate::context::Context;
use crate::render::{self, Table};

const PATH: &str = "/1.0/certificates";

pub(crate) async fn run(context: &Context, verb: TrustVerb) -> Result<()> {
    match verb {
        TrustVerb::Add(args) => add(context, args).await,
        TrustVerb::AddCertificate(args) => add_certificate(context, args).await,
        TrustVerb::List(args) => {
            let all: Vec<Certificate> = context.client.get(&format!("{PATH}?recursion=1")).await?;
            context.list(args.format, &all, || table(&all))
        }
        TrustVerb::Show(args) => {
            let path = object("certificates", &args.name);
            let found: Certificate = context.client.get(&path).await?;
            context.yaml(&found)
        }
        TrustVerb::Edit(args) => {
            let path = object("certificates", &args.name);
            let comment = "A trusted certificate: name, type and reach may be changed.";
            keys::edit::<CertificatePut>(context, &path, comment).await
        }
        TrustVerb::Remove(args) => {
            for name in &args.names {
                context.client.delete(&object("certificates", name)).await?;
            }
            Ok(())
        }
        TrustVerb::ListTokens(args) => {
            let tokens = tokens(context).await?;
            let views: Vec<_> = tokens.iter().map(|(_, token)| token).collect();
            context.list(args.format, &views, || token_table(&views))
        }
        TrustVerb::RevokeToken(args) => revoke(context, &args.name).await,
    }
}

fn put(name: String, reach: ReachArgs) -> CertificatePut {
    CertificatePut {
        name,
        kind: reach.kind,
        restricted: reach.restricted,
        projects: reach.projects,
        ..CertificatePut::default()
    }
}

async fn add(context: &Context, args: TrustAddArgs) -> Result<()> {
    let server: Server = context.client.get("/1.0").await?;
    if server.environment.addresses.is_empty() {
        bail!(
            "the daemon does not listen on the network yet: `rlxc config set core.https_address :8443` first"
        );
    }
    let post = CertificatesPost {
        put: put(args.name, args.reach),
        token: true,
        ..CertificatesPost::default()
    };
    let Reply::Begun(operation) = context.client.post(PATH, &post).await? else {
        bail!("the daemon made no token");
    };
    let token = read(&operation).context("the daemon's answer holds no token")?;
    context.printer.note(&format!(
        "On the other host: `rlxc remote add NAME TOKEN`. The token of `{}` is:",
        token.client_name
    ));
    context.printer.line(&encode(&token)?)
}

async fn add_certificate(context: &Context, args: TrustAddCertificateArgs) -> Result<()> {
    let certificate = tls::read_certificate(&args.file)?;
    let stem = args.file.file_stem().unwrap_or_default();
    let name = args
        .name
        .unwrap_or_else(|| stem.to_string_lossy().into_owned());
    let post = CertificatesPost {
        put: CertificatePut {
            certificate,
            ..put(name, args.reach)
        },
        ..CertificatesPost::default()
    };
    context.client.post(PATH, &post).await?;
    Ok(())
}

/// The token that an operation stands for.
fn read(operation: &Operation) -> Option<CertificateAddToken> {
    let metadata = operation.metadata.as_ref()?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Some(CertificateAddToken {
        client_name: text(metadata.get("request")?.get("name")?)?,
        fingerprint: text(metadata.get("fingerprint")?)?,
        addresses: serde_json::from_value(metadata.get("addresses")?.clone()).unwrap_or_default(),
        secret: text(metadata.get("secret")?)?,
        expires_at: metadata
            .get("expiresAt")
            .and_then(text)
            .map(Timestamp)
            .unwrap_or_default(),
    })
}

fn encode(token: &CertificateAddToken) -> Result<String> {
    Ok(tls::base64(&serde_json::to_vec(token)?))
}

async fn tokens(context: &Context) -> Result<Vec<(Operation, CertificateAddToken)>> {
    let by_status: std::collections::BTreeMap<String, Vec<Operation>> = context
        .client
        .get("/1.0/operations?recursion=1&all-projects=true")
        .await?;
    let tokens = by_status
        .into_values()
        .flatten()
        .filter(|operation| operation.class == "token" && !operation.is_final());
    Ok(tokens
        .filter_map(|operation| read(&operation).map(|token| (operation, token)))
        .collect())
}

async fn revoke(context: &Context, name: &str) -> Result<()> {
    let all = tokens(context).await?;
    let meant: Vec<_> = all
        .iter()
        .filter(|(_, token)| token.client_name == name)
        .collect();
    ensure!(
        !meant.is_empty(),
        "there is no token of `{name}`: see `rlxc config trust list-tokens`"
    );
    for (operation, _) in meant {
        context.client.delete(&operation.url()).await?;
    }
    Ok(())
}

fn table(all: &[Certificate]) -> Table {
    let rows = all
        .iter()
        .map(|item| {
            vec![
                item.put.name.clone(),
                item.put.kind.clone(),
                item.fingerprint.chars().take(12).collect(),
                expiry(&item.put.certificate),
                render::yes(item.put.restricted),
                item.put.projects.join("\n"),
            ]
        })
        .collect();
    Table::new(
        &[
            "NAME",
            "TYPE",
            "FINGERPRINT",
            "EXPIRY DATE",
            "RESTRICTED",
            "PROJECTS",
        ],
        rows,
    )
}

/// Until when a certificate, PEM, is valid.
fn expiry(certificate: &str) -> String {
    let until = tls::valid_until(certificate.as_bytes());
    let time = until.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or_else(String::new, |time| {
        render::short_time(&Timestamp(time.to_string()))
    })
}

fn token_table(tokens: &[&CertificateAddToken]) -> Table {
    let rows = tokens
        .iter()
        .map(|token| {
            vec![
                token.client_name.clone(),
                encode(token).unwrap_or_default(),
                render::short_time(&token.expires_at),
            ]
        })
        .collect();
    Table::new(&["NAME", "TOKEN", "EXPIRES"], rows)
}
