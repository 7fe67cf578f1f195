//! `network`.

use clap::{Args, Subcommand};

use super::{FormatArg, KeyArgs, ListOfArgs, NameArgs, NamesArgs, Pair, RenameToArgs, SetArgs};

/// `network`.
#[derive(Debug, Subcommand)]
pub(crate) enum NetworkVerb {
    /// List networks.
    #[command(visible_alias = "ls")]
    List(ListOfArgs),
    /// Print a network as YAML.
    Show(NameArgs),
    /// Show the state of a network: addresses and traffic.
    Info(NameArgs),
    /// List the addresses that are given out.
    #[command(visible_alias = "leases")]
    ListLeases(NetworkLeasesArgs),
    /// Create a network.
    #[command(
        after_help = "Example:\n  rlxc network create lab0 ipv4.address=10.9.0.1/24 ipv4.nat=true ipv6.address=none"
    )]
    Create(NetworkCreateArgs),
    /// Delete networks.
    #[command(visible_alias = "rm")]
    Delete(NamesArgs),
    /// Rename a network.
    Rename(RenameToArgs),
    /// Print the value of a key.
    Get(KeyArgs),
    /// Set keys.
    Set(SetArgs),
    /// Unset a key.
    Unset(KeyArgs),
    /// Edit a network as YAML; from stdin where that is no terminal.
    Edit(NameArgs),
}

/// `network list-leases`.
#[derive(Debug, Args)]
pub(crate) struct NetworkLeasesArgs {
    /// Network.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) format: FormatArg,
}

/// `network create`.
#[derive(Debug, Args)]
pub(crate) struct NetworkCreateArgs {
    /// Name; its interface has it too.
    pub(crate) name: String,
    /// Keys.
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) keys: Vec<Pair>,
    /// Type.
    #[arg(
        short = 't',
        long = "type",
        value_name = "TYPE",
        default_value = "bridge"
    )]
    pub(crate) kind: String,
    /// Description.
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
}
