//! Groups of verbs, which clap builds when one of theirs is typed: all of them at once would be most of what a short command does.
//!
//! What is built late has the last word: a doc comment on a struct of arguments would take the place of its verb's, so they have
//! plain comments.

use clap::{Args, Command, Subcommand};

use super::{
    AclRuleVerb, AclVerb, AdminVerb, AliasVerb, CertificateVerb, ConfigVerb, DeviceVerb, EntryVerb,
    FileVerb, ForwardPortVerb, ForwardVerb, ImageAliasVerb, ImageVerb, MetadataVerb, NetworkVerb,
    OperationVerb, ProfileVerb, ProjectVerb, RecordVerb, RemoteVerb, SnapshotVerb, StorageVerb,
    TemplateVerb, TrustVerb, VolumeSnapshotVerb, VolumeVerb, WarningVerb, ZoneVerb,
};

/// Makes each group the arguments of the verb that opens it: those are built late, subcommands are not
/// ([`Command::defer`]).
macro_rules! groups {
    ($($group:ty),* $(,)?) => {$(
        impl Args for $group {
            fn augment_args(command: Command) -> Command {
                Self::augment_subcommands(command)
                    .subcommand_required(true)
                    .arg_required_else_help(true)
            }

            fn augment_args_for_update(command: Command) -> Command {
                Self::augment_subcommands_for_update(command)
            }
        }
    )*};
}

groups!(
    AdminVerb,
    CertificateVerb,
    AliasVerb,
    ConfigVerb,
    DeviceVerb,
    ImageVerb,
    ImageAliasVerb,
    MetadataVerb,
    TemplateVerb,
    OperationVerb,
    WarningVerb,
    NetworkVerb,
    AclVerb,
    AclRuleVerb,
    ForwardVerb,
    ForwardPortVerb,
    ZoneVerb,
    RecordVerb,
    EntryVerb,
    ProfileVerb,
    ProjectVerb,
    RemoteVerb,
    TrustVerb,
    FileVerb,
    SnapshotVerb,
    StorageVerb,
    VolumeVerb,
    VolumeSnapshotVerb,
);
