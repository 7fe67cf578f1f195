//! `network`.

use clap::{Args, Subcommand};

use super::{
    AclVerb, FormatArg, ForwardVerb, KeyArgs, ListOfAllArgs, ListOfArgs, NameArgs, NamesArgs, Pair,
    RenameToArgs, SetArgs, ZoneVerb,
};

// `network`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum NetworkVerb {
    /// List networks.
    #[command(visible_alias = "ls")]
    List(ListOfAllArgs),
    /// Print a network as YAML.
    Show(NameArgs),
    /// Show the state of a network: addresses and traffic.
    Info(NameArgs),
    /// List the addresses that are given out.
    #[command(visible_alias = "leases")]
    ListLeases(NetworkLeasesArgs),
    /// Create a network; its YAML may come from stdin.
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
    /// Plug an instance into a network.
    Attach(NetworkAttachArgs),
    /// Plug all instances of a profile into a network.
    AttachProfile(NetworkAttachArgs),
    /// Take an instance out of a network.
    Detach(NetworkDetachArgs),
    /// Take all instances of a profile out of a network.
    DetachProfile(NetworkDetachArgs),
    /// List the addresses that are in use, and by whom.
    ListAllocations(ListOfArgs),
    /// Manage network ACLs.
    Acl(AclVerb),
    /// Manage forwards.
    Forward(ForwardVerb),
    /// Manage DNS zones.
    Zone(ZoneVerb),
}

// `network attach` and `attach-profile`.
#[derive(Debug, Args)]
pub(crate) struct NetworkAttachArgs {
    /// Network, or a bridge of the host.
    pub(crate) network: String,
    /// Instance or profile.
    pub(crate) owner: String,
    /// Name of the device; the network's if left out.
    pub(crate) device: Option<String>,
    /// Name of the interface in the instance; the device's if left out.
    pub(crate) interface: Option<String>,
}

// `network detach` and `detach-profile`.
#[derive(Debug, Args)]
pub(crate) struct NetworkDetachArgs {
    /// Network, or a bridge of the host.
    pub(crate) network: String,
    /// Instance or profile.
    pub(crate) owner: String,
    /// Device, where more than one is plugged into the network.
    pub(crate) device: Option<String>,
}

// `network list-leases`.
#[derive(Debug, Args)]
pub(crate) struct NetworkLeasesArgs {
    /// Network.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) format: FormatArg,
}

// `network create`.
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
