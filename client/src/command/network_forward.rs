//! `network forward`.

use anyhow::{Result, ensure};
use rlxc_api::{NetworkForward, NetworkForwardPort, NetworkForwardPut, NetworkForwardsPost};

use super::{keys, object};
use crate::cli::{
    CreateOf, ForwardArgs, ForwardPortAddArgs, ForwardPortRemoveArgs, ForwardPortVerb, ForwardVerb,
};
use crate::context::Context;
use crate::document;
use crate::render::Table;

fn all(network: &str) -> String {
    format!("{}/forwards", object("networks", network))
}

fn path(args: &ForwardArgs) -> String {
    format!("{}/{}", all(&args.network), args.listen_address)
}

pub(crate) async fn run(context: &Context, verb: ForwardVerb) -> Result<()> {
    match verb {
        ForwardVerb::List(args) => {
            let url = format!("{}?recursion=1", all(&args.network));
            let forwards: Vec<NetworkForward> = context.client.get(&url).await?;
            context.list(args.format.format, &forwards, || table(&forwards))
        }
        ForwardVerb::Show(args) => {
            context.yaml(&context.client.get::<NetworkForward>(&path(&args)).await?)
        }
        ForwardVerb::Create(args) => create(context, args).await,
        ForwardVerb::Delete(args) => {
            context.client.delete(&path(&args)).await?;
            Ok(())
        }
        ForwardVerb::Get(args) => keys::get(context, &path(&args.of), "config", &args.key).await,
        ForwardVerb::Set(args) => {
            keys::set(context, &path(&args.of), keys::pairs(&args.words)?).await
        }
        ForwardVerb::Unset(args) => keys::unset(context, &path(&args.of), &args.key).await,
        ForwardVerb::Edit(args) => {
            keys::edit::<NetworkForwardPut>(context, &path(&args), "A network forward.").await
        }
        ForwardVerb::Port(ForwardPortVerb::Add(args)) => add(context, args).await,
        ForwardVerb::Port(ForwardPortVerb::Remove(args)) => remove(context, args).await,
    }
}

async fn create(context: &Context, args: CreateOf<ForwardArgs>) -> Result<()> {
    let given = document::given::<NetworkForwardPut, NetworkForward>(&context.printer)?;
    let mut put = given.unwrap_or_default();
    put.config.extend(keys::map(args.keys));
    if let Some(description) = args.description {
        put.description = description;
    }
    let body = NetworkForwardsPost {
        put,
        listen_address: args.of.listen_address,
    };
    context.client.post(&all(&args.of.network), &body).await?;
    Ok(())
}

async fn add(context: &Context, args: ForwardPortAddArgs) -> Result<()> {
    let port = NetworkForwardPort {
        description: args.description.unwrap_or_default(),
        protocol: args.protocol,
        listen_port: args.listen_ports,
        target_port: args.target_ports.unwrap_or_default(),
        target_address: args.target_address,
    };
    change(context, &args.forward, |ports| {
        ports.push(port);
        Ok(())
    })
    .await
}

async fn remove(context: &Context, args: ForwardPortRemoveArgs) -> Result<()> {
    let fits = |wanted: &Option<String>, value: &String| {
        wanted.as_ref().is_none_or(|wanted| wanted == value)
    };
    change(context, &args.forward, |ports| {
        let before = ports.len();
        ports.retain(|port| {
            !(fits(&args.protocol, &port.protocol) && fits(&args.listen_ports, &port.listen_port))
        });
        let removed = before - ports.len();
        ensure!(removed > 0, "the forward has no such ports");
        ensure!(
            removed == 1 || args.force,
            "{removed} entries fit: name protocol and ports, or use --force"
        );
        Ok(())
    })
    .await
}

async fn change(
    context: &Context,
    forward: &ForwardArgs,
    edit: impl FnOnce(&mut Vec<NetworkForwardPort>) -> Result<()>,
) -> Result<()> {
    let path = path(forward);
    let mut tagged = context.client.get_tagged::<NetworkForward>(&path).await?;
    edit(&mut tagged.value.put.ports)?;
    context
        .client
        .put(&path, &tagged.value.put, tagged.etag.as_deref())
        .await?;
    Ok(())
}

fn table(forwards: &[NetworkForward]) -> Table {
    let row = |forward: &NetworkForward| {
        let target = forward.put.config.get("target_address");
        vec![
            forward.listen_address.clone(),
            forward.put.description.clone(),
            target.cloned().unwrap_or_default(),
            forward.put.ports.len().to_string(),
        ]
    };
    Table::new(
        &[
            "LISTEN ADDRESS",
            "DESCRIPTION",
            "DEFAULT TARGET ADDRESS",
            "PORTS",
        ],
        forwards.iter().map(row).collect(),
    )
}
