//! `network acl` and `network forward`.

use clap::{Args, Subcommand, ValueEnum};

use super::{
    CreateOf, FormatArg, KeyArgs, KeyOf, ListOfAllArgs, NameArgs, NamesArgs, Pair, RenameToArgs,
    SetArgs, SetOf,
};

// `network acl`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum AclVerb {
    /// List network ACLs.
    #[command(visible_alias = "ls")]
    List(ListOfAllArgs),
    /// Print an ACL as YAML.
    Show(NameArgs),
    /// Print what rules with the state `logged` wrote to the kernel's log.
    ShowLog(NameArgs),
    /// Create an ACL; its YAML, with rules, may come from stdin.
    Create(CreateOf<NameArgs>),
    /// Delete ACLs that nothing uses.
    #[command(visible_alias = "rm")]
    Delete(NamesArgs),
    /// Rename an ACL that nothing uses.
    Rename(RenameToArgs),
    /// Print the value of a key.
    Get(KeyArgs),
    /// Set keys.
    Set(SetArgs),
    /// Unset a key.
    Unset(KeyArgs),
    /// Edit an ACL as YAML; from stdin where that is no terminal.
    Edit(NameArgs),
    /// Add and remove rules.
    Rule(AclRuleVerb),
}

// `network acl rule`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum AclRuleVerb {
    /// Add a rule.
    #[command(
        after_help = "Example:\n  rlxc network acl rule add web ingress action=allow protocol=tcp destination_port=80,443"
    )]
    Add(AclRuleArgs),
    /// Remove the rules that have these properties.
    #[command(visible_alias = "rm")]
    Remove(AclRuleRemoveArgs),
}

/// What a rule is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Direction {
    /// What instances receive.
    Ingress,
    /// What instances send.
    Egress,
}

// `network acl rule add`.
#[derive(Debug, Args)]
pub(crate) struct AclRuleArgs {
    /// ACL.
    pub(crate) name: String,
    /// For what instances receive, or send.
    pub(crate) direction: Direction,
    /// Properties: action, source, destination, protocol, `source_port`, `destination_port`, `icmp_type`, `icmp_code`,
    /// description, state.
    #[arg(value_name = "KEY=VALUE", required = true)]
    pub(crate) keys: Vec<Pair>,
}

// `network acl rule remove`.
#[derive(Debug, Args)]
pub(crate) struct AclRuleRemoveArgs {
    #[command(flatten)]
    pub(crate) rule: AclRuleArgs,
    /// Remove more than one.
    #[arg(long)]
    pub(crate) force: bool,
}

// `network forward`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum ForwardVerb {
    /// List the forwards of a network.
    #[command(visible_alias = "ls")]
    List(ForwardListArgs),
    /// Print a forward as YAML.
    Show(ForwardArgs),
    /// Create a forward; with `target_address=ADDRESS` all that no port speaks of goes there. Its YAML may come from stdin.
    #[command(
        after_help = "Example:\n  rlxc network forward create lab 192.0.2.10\n  rlxc network forward port add lab 192.0.2.10 tcp 443 10.1.2.3"
    )]
    Create(CreateOf<ForwardArgs>),
    /// Delete a forward.
    #[command(visible_alias = "rm")]
    Delete(ForwardArgs),
    /// Print the value of a key.
    Get(KeyOf<ForwardArgs>),
    /// Set keys.
    Set(SetOf<ForwardArgs>),
    /// Unset a key.
    Unset(KeyOf<ForwardArgs>),
    /// Edit a forward as YAML; from stdin where that is no terminal.
    Edit(ForwardArgs),
    /// Add and remove ports.
    Port(ForwardPortVerb),
}

// `network forward list`.
#[derive(Debug, Args)]
pub(crate) struct ForwardListArgs {
    /// Network.
    pub(crate) network: String,
    #[command(flatten)]
    pub(crate) format: FormatArg,
}

// A forward.
#[derive(Debug, Args)]
pub(crate) struct ForwardArgs {
    /// Network.
    pub(crate) network: String,
    /// Address that is listened on.
    pub(crate) listen_address: String,
}

// `network forward port`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum ForwardPortVerb {
    /// Add ports.
    Add(ForwardPortAddArgs),
    /// Remove ports.
    #[command(visible_alias = "rm")]
    Remove(ForwardPortRemoveArgs),
}

// `network forward port add`.
#[derive(Debug, Args)]
pub(crate) struct ForwardPortAddArgs {
    #[command(flatten)]
    pub(crate) forward: ForwardArgs,
    /// tcp or udp.
    pub(crate) protocol: String,
    /// Ports and ranges of ports, joined by commas.
    pub(crate) listen_ports: String,
    /// Address of an instance.
    pub(crate) target_address: String,
    /// As many ports, or one for all; the same if left out.
    pub(crate) target_ports: Option<String>,
    /// Description.
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
}

// `network forward port remove`.
#[derive(Debug, Args)]
pub(crate) struct ForwardPortRemoveArgs {
    #[command(flatten)]
    pub(crate) forward: ForwardArgs,
    /// tcp or udp; both if left out.
    pub(crate) protocol: Option<String>,
    /// As they were added; all if left out.
    pub(crate) listen_ports: Option<String>,
    /// Remove more than one.
    #[arg(long)]
    pub(crate) force: bool,
}
