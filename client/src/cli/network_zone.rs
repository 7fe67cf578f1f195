//! `network zone`.

use clap::{Args, Subcommand};

use super::{
    CreateOf, FormatArg, KeyArgs, KeyOf, ListOfAllArgs, NameArgs, NamesArgs, SetArgs, SetOf,
};

// `network zone`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum ZoneVerb {
    /// List DNS zones.
    #[command(visible_alias = "ls")]
    List(ListOfAllArgs),
    /// Print a zone as YAML.
    Show(NameArgs),
    /// Create a zone; its YAML may come from stdin.
    #[command(
        after_help = "Example:\n  rlxc network zone create lab.example dns.nameservers=ns1.lab.example peers.second.address=192.0.2.53\n  rlxc network set lab dns.zone.forward=lab.example\n  rlxc config set core.dns_address :53"
    )]
    Create(CreateOf<NameArgs>),
    /// Delete zones that no network names.
    #[command(visible_alias = "rm")]
    Delete(NamesArgs),
    /// Print the value of a key.
    Get(KeyArgs),
    /// Set keys.
    Set(SetArgs),
    /// Unset a key.
    Unset(KeyArgs),
    /// Edit a zone as YAML; from stdin where that is no terminal.
    Edit(NameArgs),
    /// Records beside those of instances.
    Record(RecordVerb),
}

// `network zone record`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum RecordVerb {
    /// List the records of a zone.
    #[command(visible_alias = "ls")]
    List(RecordListArgs),
    /// Print a record as YAML.
    Show(RecordArgs),
    /// Create a record; its YAML, with entries, may come from stdin.
    #[command(
        after_help = "Example:\n  rlxc network zone record create lab.example demo\n  rlxc network zone record entry add lab.example demo A 192.0.2.7 --ttl 60"
    )]
    Create(CreateOf<RecordArgs>),
    /// Delete a record.
    #[command(visible_alias = "rm")]
    Delete(RecordArgs),
    /// Print the value of a key.
    Get(KeyOf<RecordArgs>),
    /// Set keys.
    Set(SetOf<RecordArgs>),
    /// Unset a key.
    Unset(KeyOf<RecordArgs>),
    /// Edit a record as YAML; from stdin where that is no terminal.
    Edit(RecordArgs),
    /// Add and remove entries.
    Entry(EntryVerb),
}

// `network zone record list`.
#[derive(Debug, Args)]
pub(crate) struct RecordListArgs {
    /// Zone.
    pub(crate) zone: String,
    #[command(flatten)]
    pub(crate) format: FormatArg,
}

// A record.
#[derive(Debug, Args)]
pub(crate) struct RecordArgs {
    /// Zone.
    pub(crate) zone: String,
    /// Record; `@` for the zone itself.
    pub(crate) record: String,
}

// `network zone record entry`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum EntryVerb {
    /// Add an entry.
    Add(EntryAddArgs),
    /// Remove an entry.
    #[command(visible_alias = "rm")]
    Remove(EntryArgs),
}

// An entry.
#[derive(Debug, Args)]
pub(crate) struct EntryArgs {
    #[command(flatten)]
    pub(crate) record: RecordArgs,
    /// A, AAAA, CNAME, MX, TXT, …
    #[arg(value_name = "TYPE")]
    pub(crate) kind: String,
    /// As a zone file writes it.
    pub(crate) value: String,
}

// `network zone record entry add`.
#[derive(Debug, Args)]
pub(crate) struct EntryAddArgs {
    #[command(flatten)]
    pub(crate) entry: EntryArgs,
    /// How long others may remember it.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) ttl: Option<u64>,
}
