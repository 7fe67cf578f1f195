//! `remote`.

use anyhow::{Result, bail, ensure};

use crate::cli::RemoteVerb;
use crate::context::Context;
use crate::remote::{LOCAL, Remote, Remotes};
use crate::render::Table;

pub(crate) fn run(context: &Context, verb: RemoteVerb) -> Result<()> {
    let mut known = Remotes::load()?;
    match verb {
        RemoteVerb::List(format) => {
            context.list(format.format, &known.remotes, || table(context, &known))
        }
        RemoteVerb::Add(args) => {
            ensure!(
                args.name != LOCAL && !known.remotes.contains_key(&args.name),
                "there is a remote `{}` already",
                args.name
            );
            ensure!(
                !args.name.contains([':', '/']),
                "a name of a remote holds neither `:` nor `/`"
            );
            ensure!(
                args.address.starts_with("https://") || args.address.starts_with("http://"),
                "`{}` is no address: it begins with https://",
                args.address
            );
            let remote = Remote {
                addr: args.address,
                protocol: args.protocol,
                public: true,
            };
            known.remotes.insert(args.name, remote);
            known.save()
        }
        RemoteVerb::Remove(args) => {
            if known.remotes.remove(&args.name).is_none() {
                bail!("there is no remote `{}`", args.name);
            }
            known.save()
        }
    }
}

fn table(context: &Context, known: &Remotes) -> Table {
    let mut rows = vec![vec![
        LOCAL.to_owned(),
        format!("unix://{}", context.client.endpoint().path().display()),
        "lxd".to_owned(),
    ]];
    rows.extend(
        known
            .remotes
            .iter()
            .map(|(name, remote)| vec![name.clone(), remote.addr.clone(), remote.protocol.clone()]),
    );
    Table::new(&["NAME", "ADDRESS", "PROTOCOL"], rows)
}
