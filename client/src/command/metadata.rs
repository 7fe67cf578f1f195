//! `config metadata` and `config template`.

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use rlxc_api::ImageMetadata;
use rlxc_client::transfer::template_path;
use rlxc_client::url;

use super::keys;
use crate::cli::{MetadataVerb, TemplateArgs, TemplateVerb};
use crate::context::Context;
use crate::editor;
use crate::render::Table;

pub(crate) async fn run(context: &Context, verb: MetadataVerb) -> Result<()> {
    let path = |name: &str| format!("{}/metadata", url::instance(name));
    match verb {
        MetadataVerb::Show(args) => {
            let metadata: ImageMetadata = context.client.get(&path(&args.name)).await?;
            context.yaml(&metadata)
        }
        MetadataVerb::Edit(args) => {
            let comment = "What the image of the instance says of itself, and which files are made of templates.";
            keys::edit::<ImageMetadata>(context, &path(&args.name), comment).await
        }
    }
}

pub(crate) async fn run_template(context: &Context, verb: TemplateVerb) -> Result<()> {
    match verb {
        TemplateVerb::List(args) => {
            let path = format!("{}/metadata/templates", url::instance(&args.name));
            let names: Vec<String> = context.client.get(&path).await?;
            context.list(args.format.format, &names, || table(&names))
        }
        TemplateVerb::Show(args) => context.printer.bytes(&fetch(context, &args).await?),
        TemplateVerb::Create(args) => {
            let known: Vec<String> = context
                .client
                .get(&format!("{}/metadata/templates", url::instance(&args.name)))
                .await?;
            ensure!(
                !known.contains(&args.template),
                "template `{}` is there already: edit it",
                args.template
            );
            push(context, &args, Bytes::new()).await
        }
        TemplateVerb::Edit(args) => edit(context, &args).await,
        TemplateVerb::Delete(args) => {
            let path = template_path(&args.name, &args.template);
            context.client.delete(&path).await?;
            Ok(())
        }
    }
}

fn table(names: &[String]) -> Table {
    let rows = names.iter().map(|name| vec![name.clone()]).collect();
    Table::new(&["NAME"], rows)
}

async fn fetch(context: &Context, args: &TemplateArgs) -> Result<Bytes> {
    let path = template_path(&args.name, &args.template);
    Ok(context.client.fetch(&path).await?)
}

async fn push(context: &Context, args: &TemplateArgs, text: Bytes) -> Result<()> {
    let client = &context.client;
    client
        .push_template(&args.name, &args.template, text)
        .await?;
    Ok(())
}

async fn edit(context: &Context, args: &TemplateArgs) -> Result<()> {
    if let Some(text) = editor::piped()? {
        return push(context, args, text.into()).await;
    }
    let before = String::from_utf8(fetch(context, args).await?.to_vec())
        .with_context(|| format!("template `{}` is no text", args.template))?;
    let after = editor::text_in_editor(&before, "tpl")?;
    if after == before {
        context.printer.note("Nothing was changed.");
        return Ok(());
    }
    push(context, args, after.into()).await
}
