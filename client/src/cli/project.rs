//! `project`.

use clap::{Args, Subcommand};

use super::{FormatArg, KeyArgs, ListOfArgs, NameArgs, NamesArgs, Pair, RenameToArgs, SetArgs};

// `project`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum ProjectVerb {
    /// List projects.
    #[command(visible_alias = "ls")]
    List(ListOfArgs),
    /// Print a project as YAML.
    Show(NameArgs),
    /// Show what a project uses of what it may use.
    Info(ProjectInfoArgs),
    /// Create a project; its YAML may come from stdin.
    #[command(
        after_help = "Examples:\n  rlxc project create team\n  rlxc project create ci -c limits.instances=10 -c restricted=true"
    )]
    Create(ProjectCreateArgs),
    /// Delete empty projects.
    #[command(visible_alias = "rm")]
    Delete(NamesArgs),
    /// Rename an empty project.
    #[command(visible_alias = "mv")]
    Rename(RenameToArgs),
    /// Work in a project from now on, on this remote.
    Switch(NameArgs),
    /// Print the project that is worked in.
    #[command(visible_alias = "current")]
    GetCurrent(RemoteArg),
    /// Print the value of a key.
    Get(KeyArgs),
    /// Set keys.
    Set(SetArgs),
    /// Unset a key.
    Unset(KeyArgs),
    /// Edit a project as YAML; from stdin where that is no terminal.
    Edit(NameArgs),
}

// `project create`.
#[derive(Debug, Args)]
pub(crate) struct ProjectCreateArgs {
    /// Name.
    pub(crate) name: String,
    /// Keys.
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) keys: Vec<Pair>,
    /// Key, may be given more than once.
    #[arg(short = 'c', long = "config", value_name = "KEY=VALUE")]
    pub(crate) config: Vec<Pair>,
    /// Description.
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
}

// `project info`.
#[derive(Debug, Args)]
pub(crate) struct ProjectInfoArgs {
    /// Name.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) format: FormatArg,
}

// A remote, or the usual one.
#[derive(Debug, Args)]
pub(crate) struct RemoteArg {
    /// Remote, with a colon.
    #[arg(value_name = "REMOTE:", value_parser = super::bare_remote)]
    pub(crate) remote: Option<String>,
}
