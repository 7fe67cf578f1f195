//! What can be typed: clap structs only, no behaviour.

mod admin;
mod alias;
mod backup;
mod config;
mod group;
mod image;
mod instance;
mod metadata;
mod misc;
mod names;
mod network;
mod network_rules;
mod network_zone;
mod profile;
mod project;
mod remote;
mod session;
mod snapshot;
mod storage;
#[cfg(test)]
mod tests;
mod volume;

use clap::{Parser, Subcommand};

pub(crate) use admin::*;
pub(crate) use alias::*;
pub(crate) use backup::*;
pub(crate) use config::*;
pub(crate) use image::*;
pub(crate) use instance::*;
pub(crate) use metadata::*;
pub(crate) use misc::*;
pub(crate) use names::Word;
pub(crate) use network::*;
pub(crate) use network_rules::*;
pub(crate) use network_zone::*;
pub(crate) use profile::*;
pub(crate) use project::*;
pub(crate) use remote::*;
pub(crate) use session::*;
pub(crate) use snapshot::*;
pub(crate) use storage::*;
pub(crate) use volume::*;

const EXAMPLES: &str = "\
Examples:
  rlxc launch debian dev1           create a Debian container and start it
  rlxc list                         what is there, with state and addresses
  rlxc exec dev1 -- apt-get update  run a command in it
  rlxc shell dev1                   a login shell in it
  rlxc snapshot create dev1 clean   keep its state, `rlxc snapshot restore dev1 clean` goes back
  rlxc delete -f dev1               stop it and delete it

`rlxc <command> --help` tells more of each command.";

const ENVIRONMENT: &str = "\
Environment:
  RLXC_REMOTE         remote that is meant where none is named
  RLXC_PROJECT        project to work in, where --project does not say
  RLXC_DIR            directory of the daemon on this host, with its socket [/var/lib/rlxc]
  RLXC_SOCKET         its socket, wherever that is
  RLXC_CONF           directory of remotes, aliases and certificates [~/.config/rlxc]
  RLXC_INSECURE_TLS   1: speak TLS 1.2 too, not 1.3 alone (the daemon reads it as well)
  VISUAL, EDITOR      editor of the verbs that edit [vi]
  NO_COLOR            any value: no colours
  https_proxy, http_proxy, no_proxy   how image servers are reached";

/// System containers: full distributions, started in milliseconds.
#[derive(Debug, Parser)]
#[command(
    name = "rlxc",
    version,
    after_help = EXAMPLES,
    after_long_help = format!("{EXAMPLES}\n\n{ENVIRONMENT}"),
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    /// Say nothing but results and errors.
    #[arg(short = 'q', long, global = true, display_order = 100)]
    pub(crate) quiet: bool,
    /// Project to work in.
    #[arg(long, global = true, value_name = "NAME", display_order = 101)]
    pub(crate) project: Option<String>,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

// The commands, in the order of the help.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Verb {
    /// Create an instance from an image and start it.
    Launch(LaunchArgs),
    /// Create an instance from an image, without starting it.
    #[command(visible_alias = "init")]
    Create(CreateArgs),
    /// List instances.
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show an instance, or the server if none is named.
    Info(InfoArgs),
    /// Start instances.
    Start(StateArgs),
    /// Stop instances: ask init, wait, and with --force kill.
    Stop(StateArgs),
    /// Restart instances.
    Restart(StateArgs),
    /// Freeze all processes of instances.
    Pause(StateArgs),
    /// Let frozen instances go on.
    #[command(visible_alias = "unpause")]
    Resume(StateArgs),
    /// Delete instances.
    #[command(visible_alias = "rm")]
    Delete(DeleteArgs),
    /// Rename an instance; it may be running.
    Rename(RenameArgs),
    /// Copy an instance or a snapshot, also to another server.
    #[command(visible_alias = "cp")]
    Copy(CopyArgs),
    /// Rename an instance, or move it to another pool or server.
    #[command(visible_alias = "mv")]
    Move(MoveArgs),
    /// Run a command in an instance; the exit code is the command's.
    Exec(ExecArgs),
    /// Open a login shell in an instance.
    Shell(ShellArgs),
    /// Attach to the console of an instance, Ctrl-a q detaches.
    Console(ConsoleArgs),
    /// Push, pull, edit and delete files of instances.
    File(FileVerb),
    /// Create, list, restore and delete snapshots.
    Snapshot(SnapshotVerb),
    /// Go back to a snapshot (short for `snapshot restore`).
    #[command(hide = true)]
    Restore(SnapshotRestoreArgs),
    /// Export an instance, with its snapshots, as one file.
    Export(ExportArgs),
    /// Create an instance from a file that `export` has made, here or with LXD or Incus.
    Import(ImportArgs),
    /// Make an image from an instance or a snapshot.
    Publish(PublishArgs),
    /// Make the root of an instance anew, of an image or empty; its configuration stays, what was in it is lost.
    #[command(
        after_help = "Examples:\n  rlxc rebuild dev1                of the image that it was made of\n  rlxc rebuild dev1 debian/13 -f\n  rlxc rebuild dev1 --empty"
    )]
    Rebuild(RebuildArgs),
    /// Read and change the configuration of instances and of the server.
    Config(ConfigVerb),
    /// Manage profiles.
    Profile(ProfileVerb),
    /// Manage projects.
    Project(ProjectVerb),
    /// Manage images: list, import, export, build, aliases.
    Image(ImageVerb),
    /// Manage networks.
    Network(NetworkVerb),
    /// Manage storage pools and volumes.
    Storage(StorageVerb),
    /// Image servers and daemons that are known by name.
    Remote(RemoteVerb),
    /// Words of your own that stand for others.
    Alias(AliasVerb),
    /// What instances use now, the busiest first.
    Top(TopArgs),
    /// List, show and cancel what goes on in the background.
    Operation(OperationVerb),
    /// What was done to an instance: when, by whom, and how it ended.
    History(HistoryArgs),
    /// What an administrator should know.
    Warning(WarningVerb),
    /// Print events as they happen.
    Monitor(MonitorArgs),
    /// Send a request to the API as it is.
    Query(QueryArgs),
    /// Set up the daemon and look after it.
    Admin(AdminVerb),
    /// Print the versions of client and server.
    Version,
    /// Print a completion script for a shell.
    Completion(CompletionArgs),
    /// Write man pages of all commands into a directory.
    #[command(hide = true)]
    Manpage(ManpageArgs),
}

/// How lists are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// With lines around the cells.
    #[default]
    Table,
    /// Without lines.
    Compact,
    /// Comma-separated values, without a header.
    Csv,
    /// The objects of the API.
    Json,
    /// The objects of the API.
    Yaml,
}

// The option that lists have.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct FormatArg {
    /// How to print it.
    #[arg(short = 'f', long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// A `key=value` argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    /// What is before the first `=`.
    pub(crate) key: String,
    /// What is after it.
    pub(crate) value: String,
}

impl std::str::FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok(Self {
                key: key.to_owned(),
                value: value.to_owned(),
            }),
            _ => Err("expected KEY=VALUE".to_owned()),
        }
    }
}

/// A remote and nothing of it: a word without its colon would be a name, and a name that nobody reads would mislead.
fn bare_remote(text: &str) -> Result<String, String> {
    if text.is_empty() || text.ends_with(':') {
        return Ok(text.to_owned());
    }
    Err("only a remote can stand here, with a colon, as in `box:`".to_owned())
}
