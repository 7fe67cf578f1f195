//! `alias`.

use anyhow::{Context as _, Result, ensure};

use crate::alias;
use crate::cli::AliasVerb;
use crate::context::Context;
use crate::remote::Remotes;
use crate::render::Table;

pub(crate) fn run(context: &Context, verb: AliasVerb) -> Result<()> {
    let mut known = Remotes::load()?;
    match verb {
        AliasVerb::List(format) => {
            return context.list(format.format, &known.aliases, || table(&known));
        }
        AliasVerb::Add(args) => {
            alias::check(&args.name, &args.target)?;
            ensure_free(&known, &args.name)?;
            known.aliases.insert(args.name, args.target);
        }
        AliasVerb::Rename(args) => {
            ensure_free(&known, &args.new_name)?;
            let target = take(&mut known, &args.name)?;
            alias::check(&args.new_name, &target)?;
            known.aliases.insert(args.new_name, target);
        }
        AliasVerb::Remove(args) => {
            for name in &args.names {
                take(&mut known, name)?;
            }
        }
    }
    known.save()
}

fn ensure_free(known: &Remotes, name: &str) -> Result<()> {
    ensure!(
        !known.aliases.contains_key(name),
        "there is an alias `{name}` already"
    );
    Ok(())
}

fn take(known: &mut Remotes, name: &str) -> Result<String> {
    known
        .aliases
        .remove(name)
        .with_context(|| format!("there is no alias `{name}`"))
}

fn table(known: &Remotes) -> Table {
    let rows = known
        .aliases
        .iter()
        .map(|(name, target)| vec![name.clone(), target.clone()]);
    Table::new(&["ALIAS", "TARGET"], rows.collect())
}
