//! `remote add` of a daemon: who is it, and does it trust us?

use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use rlxc_api::{CertificateAddToken, CertificatePut, CertificatesPost, ServerUntrusted};
use rlxc_client::tls::{self, Address, Identity, Server, Trust};
use rlxc_client::{ClientError, Connection, Endpoint};

use super::remote::url;
use crate::cli::RemoteAddArgs;
use crate::context::{Context, DEFAULT_PROJECT, is_interactive};
use crate::remote::{Remote, authority, needed_directory, pinned_path};

/// Connects to a daemon, checks who it is, and makes it trust us.
pub(super) async fn daemon(context: &Context, args: &RemoteAddArgs) -> Result<Remote> {
    let in_place_of_address = read_token(&args.address);
    let token_text = match &in_place_of_address {
        Some(_) => Some(args.address.as_str()),
        None => args.token(),
    };
    let token = token_text
        .map(|text| {
            read_token(text).context("the token is damaged: it should be copied as a whole")
        })
        .transpose()?;
    let addresses: Vec<String> = match in_place_of_address {
        Some(token) => token.addresses,
        None => vec![args.address.clone()],
    };
    let (address, trust) = meet(context, args, &addresses, token.as_ref()).await?;
    let identity = if args.public {
        None
    } else {
        Some(Identity::ensure(&needed_directory()?, &common_name())?)
    };
    let server = Server::new(address.clone(), trust.clone(), identity).with_authority(authority());
    let client = Connection::new(Endpoint::Tls(Arc::new(server)), None);
    if args.public {
        client.get::<ServerUntrusted>("/1.0").await?;
    } else {
        join(context, &client, args, token_text).await?;
    }
    if let Trust::Pinned(pem) = &trust {
        let path = pinned_path(&args.name)?;
        let directory = path.parent().context("a directory")?;
        std::fs::create_dir_all(directory)
            .and_then(|()| std::fs::write(&path, pem))
            .with_context(|| format!("write {}", path.display()))?;
    }
    Ok(Remote {
        addr: url(&address),
        protocol: args.protocol.clone(),
        public: args.public,
        project: usual_project(&client).await,
        others: [("auth_type".to_owned(), "tls".into())].into(),
    })
}

/// The project to begin with: the first one for those who are kept to some that `default` is not among.
async fn usual_project(client: &Connection) -> String {
    // A server without projects has nothing to choose from.
    let urls: Vec<String> = client.get("/1.0/projects").await.unwrap_or_default();
    let names: Vec<String> = urls.iter().map(|url| rlxc_client::url::last(url)).collect();
    if names.iter().any(|name| name == DEFAULT_PROJECT) {
        return String::new();
    }
    names.into_iter().next().unwrap_or_default()
}

fn read_token(text: &str) -> Option<CertificateAddToken> {
    let token: CertificateAddToken = serde_json::from_slice(&tls::from_base64(text)?).ok()?;
    (!token.secret.is_empty()).then_some(token)
}

/// Finds the server at one of its addresses, and what proves that it is the one.
async fn meet(
    context: &Context,
    args: &RemoteAddArgs,
    addresses: &[String],
    token: Option<&CertificateAddToken>,
) -> Result<(Address, Trust)> {
    let mut last = anyhow::anyhow!(
        "the token says no address: give one, as in `rlxc remote add {} HOST TOKEN`",
        args.name
    );
    for text in addresses {
        let address: Address = text.parse().map_err(anyhow::Error::msg)?;
        let shown = match Server::look(address.clone()).await {
            Ok(shown) => shown,
            Err(error) => {
                last = error.into();
                continue;
            }
        };
        let fingerprint = tls::fingerprint(&shown)?;
        match token.filter(|token| !token.fingerprint.is_empty()) {
            Some(token) => ensure!(
                token.fingerprint == fingerprint,
                "{address} shows another certificate than the token says: it is not the server that made the token"
            ),
            None if args.accept_certificate => {}
            None => {
                let plain = Server::new(address.clone(), Trust::Authorities, None)
                    .with_authority(authority());
                let client = Connection::new(Endpoint::Tls(Arc::new(plain)), None);
                if client.get::<ServerUntrusted>("/1.0").await.is_ok() {
                    return Ok((address, Trust::Authorities));
                }
                confirm(context, &address, &fingerprint)?;
            }
        }
        return Ok((address, Trust::Pinned(shown.to_pem()?)));
    }
    Err(last)
}

fn confirm(context: &Context, address: &Address, fingerprint: &str) -> Result<()> {
    let text = format!("{address} shows a certificate with the fingerprint\n  {fingerprint}");
    ensure!(
        is_interactive(),
        "{text}\nand nobody is here to say whether it is the right one: use a token, or --accept-certificate"
    );
    context.printer.note(&text);
    let answer = context
        .printer
        .ask("Is it the right one? (`rlxc info` there shows it) [y/N]")?;
    ensure!(
        answer.to_lowercase().starts_with('y'),
        "the certificate was not accepted"
    );
    Ok(())
}

/// Makes the server trust us, unless it does already.
async fn join(
    context: &Context,
    client: &Connection,
    args: &RemoteAddArgs,
    token: Option<&str>,
) -> Result<()> {
    let server: ServerUntrusted = client.get("/1.0").await?;
    if server.auth == "trusted" {
        return Ok(());
    }
    let asked;
    let secret = match (token, &args.password) {
        (Some(token), _) => token,
        (None, Some(password)) => password,
        (None, None) if is_interactive() => {
            asked = context.printer.ask(
                "A token (`rlxc config trust add NAME` there makes one) or the trust password:",
            )?;
            &asked
        }
        (None, None) => bail!(
            "the server does not trust this client yet: give a token of `rlxc config trust add NAME`, made there"
        ),
    };
    let explicit = token.is_some()
        && server
            .api_extensions
            .iter()
            .any(|name| name == "explicit_trust_token");
    let (trust_token, password) = if explicit {
        (secret.to_owned(), String::new())
    } else {
        (String::new(), secret.to_owned())
    };
    let post = CertificatesPost {
        put: CertificatePut {
            name: common_name(),
            kind: "client".to_owned(),
            ..CertificatePut::default()
        },
        trust_token,
        password,
        ..CertificatesPost::default()
    };
    match client.post("/1.0/certificates", &post).await {
        Err(ClientError::Refused { code: 403, .. }) => {
            bail!(refusal(token.is_some(), args.password.is_some()))
        }
        sent => sent?,
    };
    let server: ServerUntrusted = client.get("/1.0").await?;
    if server.auth != "trusted" {
        // It has taken the certificate: what for, the token said.
        context
            .printer
            .note("The server trusts this client for its metrics only.");
    }
    Ok(())
}

/// Why the server did not take the secret; what was typed at the question may be either.
fn refusal(is_token: bool, is_password: bool) -> &'static str {
    match (is_token, is_password) {
        (true, _) => "the server does not accept the token: one works once, and not for ever",
        (false, true) => "the trust password is wrong, or the server has none",
        (false, false) => {
            "the server does not accept it: a token works once, and not for ever; if it is a trust password, it is wrong"
        }
    }
}

/// Whose certificate it is, for people.
pub(super) fn common_name() -> String {
    let user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    format!("{user}@{host}")
}
