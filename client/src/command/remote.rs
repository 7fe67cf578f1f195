//! `remote`.

use anyhow::{Context as _, Result, ensure};
use rlxc_client::Endpoint;
use rlxc_client::tls::{Address, Identity};

use super::{remote_add, remote_proxy};
use crate::cli::{RemoteAddArgs, RemoteVerb};
use crate::context::Context;
use crate::remote::{LOCAL, Remote, Remotes, needed_directory, pinned_path};
use crate::render::{self, Table};

pub(crate) async fn run(context: &Context, verb: RemoteVerb) -> Result<()> {
    let mut known = Remotes::load()?;
    match verb {
        RemoteVerb::List(format) => {
            return context.list(format.format, &known.remotes, || table(&known));
        }
        RemoteVerb::GetDefault => return context.printer.line(known.default_name()),
        RemoteVerb::GenerateCertificate => return generate_certificate(),
        RemoteVerb::Proxy(args) => return remote_proxy::run(context, &known, args).await,
        RemoteVerb::Add(args) => {
            check_name(&known, &args.name)?;
            let remote = if args.protocol == "simplestreams" {
                image_server(&args)?
            } else {
                remote_add::daemon(context, &args).await?
            };
            known.remotes.insert(args.name, remote);
        }
        RemoteVerb::Remove(args) => {
            for name in &args.names {
                remove(&mut known, name)?;
            }
        }
        RemoteVerb::Rename(args) => rename(&mut known, &args.name, args.new_name)?,
        RemoteVerb::Switch(args) => {
            let name = args.name.trim_end_matches(':').to_owned();
            ensure!(
                known.has(&name),
                "there is no remote `{name}`{}",
                known.near(&name)
            );
            let fit = name == LOCAL || known.remotes[&name].is_daemon();
            ensure!(
                fit,
                "`{name}` is an image server: it has images, not instances"
            );
            known.default_remote = name;
        }
        RemoteVerb::SetUrl(args) => {
            check_change(&known, &args.name)?;
            if let Some(remote) = known.remotes.get_mut(&args.name) {
                remote.addr = if remote.speaks_api() {
                    url(&args.address.parse().map_err(anyhow::Error::msg)?)
                } else {
                    args.address
                };
            }
        }
    }
    known.save()
}

fn generate_certificate() -> Result<()> {
    let directory = needed_directory()?;
    ensure!(
        Identity::find(&directory).is_none(),
        "there is a certificate already: {} has client.crt and client.key",
        directory.display()
    );
    Identity::ensure(&directory, &remote_add::common_name())?;
    Ok(())
}

pub(super) fn url(address: &Address) -> String {
    format!("https://{address}")
}

fn check_name(known: &Remotes, name: &str) -> Result<()> {
    ensure!(name != LOCAL, "`local` is this host: take another name");
    ensure!(
        !known.has(name),
        "there is a remote `{name}` already: `rlxc remote remove {name}` first, or take another name"
    );
    let fits = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    ensure!(
        !name.is_empty() && !name.starts_with('.') && name.chars().all(fits),
        "`{name}` is no name for a remote: letters, digits, `-`, `_` and `.` make one"
    );
    Ok(())
}

fn check_change(known: &Remotes, name: &str) -> Result<()> {
    ensure!(
        name != LOCAL,
        "`local` is this host: it is there by itself and can't be changed"
    );
    ensure!(
        known.has(name),
        "there is no remote `{name}`{}",
        known.near(name)
    );
    Ok(())
}

fn rename(known: &mut Remotes, name: &str, new_name: String) -> Result<()> {
    check_change(known, name)?;
    check_name(known, &new_name)?;
    let (old, new) = (pinned_path(name)?, pinned_path(&new_name)?);
    if old.exists() {
        std::fs::rename(&old, &new).with_context(|| format!("rename {}", old.display()))?;
    }
    if let Some(remote) = known.remotes.remove(name) {
        known.remotes.insert(new_name.clone(), remote);
    }
    if known.default_remote == name {
        known.default_remote = new_name;
    }
    Ok(())
}

fn remove(known: &mut Remotes, name: &str) -> Result<()> {
    check_change(known, name)?;
    ensure!(
        known.default_name() != name,
        "`{name}` is the default remote: `rlxc remote switch` to another one first"
    );
    known.remotes.remove(name);
    let path = pinned_path(name)?;
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn image_server(args: &RemoteAddArgs) -> Result<Remote> {
    ensure!(
        args.address.starts_with("https://") || args.address.starts_with("http://"),
        "`{}` is no address of an image server: it begins with https://",
        args.address
    );
    Ok(Remote {
        addr: args.address.clone(),
        protocol: args.protocol.clone(),
        public: true,
        ..Remote::default()
    })
}

fn table(known: &Remotes) -> Table {
    let named = |name: &str| {
        if name == known.default_name() {
            format!("{name} (default)")
        } else {
            name.to_owned()
        }
    };
    let mut rows = Vec::new();
    if !known.remotes.contains_key(LOCAL) {
        rows.push(vec![
            named(LOCAL),
            Endpoint::local().to_string(),
            "lxd".to_owned(),
            render::yes(false),
        ]);
    }
    rows.extend(known.remotes.iter().map(|(name, remote)| {
        vec![
            named(name),
            remote.addr.clone(),
            remote.protocol.clone(),
            render::yes(remote.public),
        ]
    }));
    Table::new(&["NAME", "ADDRESS", "PROTOCOL", "PUBLIC"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_hosts_name_is_taken() {
        let error = check_name(&Remotes::default(), LOCAL).unwrap_err();
        assert_eq!(error.to_string(), "`local` is this host: take another name");
    }
}
