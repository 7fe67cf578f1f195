//! `config metadata` and `config template`.

use clap::{Args, Subcommand};

use super::{FormatArg, NameArgs};

// `config metadata`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum MetadataVerb {
    /// Print what the image of an instance says of itself, as YAML.
    Show(NameArgs),
    /// Edit it as YAML; from stdin where that is no terminal.
    Edit(NameArgs),
}

// `config template`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum TemplateVerb {
    /// List the templates of an instance.
    #[command(visible_alias = "ls")]
    List(TemplateListArgs),
    /// Print a template.
    Show(TemplateArgs),
    /// Create an empty template.
    Create(TemplateArgs),
    /// Edit a template; from stdin where that is no terminal.
    Edit(TemplateArgs),
    /// Delete a template.
    #[command(visible_alias = "rm")]
    Delete(TemplateArgs),
}

// `config template list`.
#[derive(Debug, Args)]
pub(crate) struct TemplateListArgs {
    /// Instance.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) format: FormatArg,
}

// One template.
#[derive(Debug, Args)]
pub(crate) struct TemplateArgs {
    /// Instance.
    pub(crate) name: String,
    /// Template.
    pub(crate) template: String,
}
