//! `alias`.

use clap::{Args, Subcommand};

use super::{FormatArg, NamesArgs};

// `alias`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum AliasVerb {
    /// List aliases.
    #[command(visible_alias = "ls")]
    List(FormatArg),
    /// Let words stand for others at the beginning of a command.
    #[command(after_help = ADD)]
    Add(AliasAddArgs),
    /// Rename an alias.
    Rename(AliasRenameArgs),
    /// Remove aliases.
    #[command(visible_alias = "rm")]
    Remove(NamesArgs),
}

const ADD: &str = "\
@ARGS@ in TARGET is where the rest of the line goes, @ARG1@ its first word, and so on.

Examples:
  rlxc alias add ll 'list -c ns4,limits.memory'
  rlxc alias add login 'exec @ARGS@ -- su -l'
  rlxc alias add as 'exec @ARG1@ --user @ARG2@ -- @ARGS@'";

// `alias add`.
#[derive(Debug, Args)]
pub(crate) struct AliasAddArgs {
    /// Word or words.
    pub(crate) name: String,
    /// What they stand for.
    pub(crate) target: String,
}

// `alias rename`.
#[derive(Debug, Args)]
pub(crate) struct AliasRenameArgs {
    /// Alias.
    pub(crate) name: String,
    /// New name.
    pub(crate) new_name: String,
}
