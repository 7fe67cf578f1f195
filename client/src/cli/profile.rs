//! `profile`.

use clap::{Args, Subcommand};

use super::{DeviceVerb, KeyArgs, ListOfAllArgs, NameArgs, NamesArgs, Pair, RenameToArgs, SetArgs};

// `profile`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum ProfileVerb {
    /// List profiles.
    #[command(visible_alias = "ls")]
    List(ListOfAllArgs),
    /// Print a profile as YAML.
    Show(NameArgs),
    /// Create a profile; its YAML may come from stdin.
    #[command(
        after_help = "Examples:\n  rlxc profile create small limits.cpu=1 limits.memory=512MiB\n  rlxc profile show small | rlxc profile create small2 limits.cpu=2"
    )]
    Create(ProfileCreateArgs),
    /// Delete profiles.
    #[command(visible_alias = "rm")]
    Delete(NamesArgs),
    /// Rename a profile.
    Rename(RenameToArgs),
    /// Copy a profile.
    Copy(RenameToArgs),
    /// Print the value of a key.
    Get(KeyArgs),
    /// Set keys.
    Set(SetArgs),
    /// Unset a key.
    Unset(KeyArgs),
    /// Edit a profile as YAML; from stdin where that is no terminal.
    Edit(NameArgs),
    /// Add a profile to an instance.
    Add(ProfileAddArgs),
    /// Remove a profile from an instance.
    Remove(ProfileAddArgs),
    /// Give an instance these profiles, in this order.
    Assign(ProfileAssignArgs),
    /// Manage the devices of a profile.
    Device(DeviceVerb),
}

// `profile create`.
#[derive(Debug, Args)]
pub(crate) struct ProfileCreateArgs {
    /// Name.
    pub(crate) name: String,
    /// Keys.
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) keys: Vec<Pair>,
    /// Description.
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
}

// `profile add` and `remove`.
#[derive(Debug, Args)]
pub(crate) struct ProfileAddArgs {
    /// Instance.
    pub(crate) instance: String,
    /// Profile.
    pub(crate) profile: String,
}

// `profile assign`.
#[derive(Debug, Args)]
pub(crate) struct ProfileAssignArgs {
    /// Instance.
    pub(crate) instance: String,
    /// Profiles, joined by commas; empty for none.
    pub(crate) profiles: String,
}
