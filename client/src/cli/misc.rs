//! `operation`, `warning`, `monitor`, `query`, `completion`.

use clap::{Args, Subcommand, ValueEnum};

use super::{FormatArg, NameArgs};

// `operation`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum OperationVerb {
    /// List operations.
    #[command(visible_alias = "ls")]
    List(OperationListArgs),
    /// Print an operation as YAML.
    Show(NameArgs),
    /// Cancel an operation.
    #[command(visible_aliases = ["cancel", "rm"])]
    Delete(NameArgs),
    /// Wait until an operation is over.
    Wait(NameArgs),
}

// `operation list`.
#[derive(Debug, Args)]
pub(crate) struct OperationListArgs {
    /// Remote, with a colon.
    #[arg(value_name = "REMOTE:", value_parser = super::bare_remote)]
    pub(crate) remote: Option<String>,
    /// Those that are over too, also from before the daemon was started.
    #[arg(short = 'a', long)]
    pub(crate) all: bool,
    /// Of all projects.
    #[arg(long)]
    pub(crate) all_projects: bool,
    #[command(flatten)]
    pub(crate) format: FormatArg,
}

// `history`.
#[derive(Debug, Args)]
#[command(
    after_help = "What is listed is what the daemon remembers: 90 days and 20000 operations. An instance that was renamed has its\nearlier names too, and one that was deleted is found by its name.\n\nExample:\n  rlxc history dev1"
)]
pub(crate) struct HistoryArgs {
    /// Instance, which may be gone.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) format: FormatArg,
}

// `warning`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum WarningVerb {
    /// List warnings.
    #[command(visible_alias = "ls")]
    List(WarningListArgs),
    /// Print a warning as YAML.
    Show(NameArgs),
    /// Acknowledge a warning: seen, and it may stay.
    #[command(visible_alias = "ack")]
    Acknowledge(NameArgs),
    /// Delete warnings.
    #[command(visible_alias = "rm")]
    Delete(WarningDeleteArgs),
}

// `warning delete`.
#[derive(Debug, Args)]
pub(crate) struct WarningDeleteArgs {
    /// Which, by their UUIDs; with --all nothing, or a remote with a colon.
    #[arg(required_unless_present = "all", value_name = "UUID")]
    pub(crate) uuids: Vec<String>,
    /// All there are.
    #[arg(short = 'a', long)]
    pub(crate) all: bool,
}

// `warning list`.
#[derive(Debug, Args)]
pub(crate) struct WarningListArgs {
    /// Remote, with a colon.
    #[arg(value_name = "REMOTE:", value_parser = super::bare_remote)]
    pub(crate) remote: Option<String>,
    /// Acknowledged and resolved ones too.
    #[arg(short = 'a', long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) format: FormatArg,
}

// `monitor`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  rlxc monitor --pretty\n  rlxc monitor --type=lifecycle\n  rlxc monitor --type=logging --pretty --loglevel=debug"
)]
pub(crate) struct MonitorArgs {
    /// Remote, with a colon.
    #[arg(value_name = "REMOTE:", value_parser = super::bare_remote)]
    pub(crate) remote: Option<String>,
    /// Kinds of events [default: all].
    #[arg(short = 't', long = "type", value_name = "KIND", value_delimiter = ',', value_parser = ["operation", "lifecycle", "logging"])]
    pub(crate) kinds: Vec<String>,
    /// Of all projects.
    #[arg(long)]
    pub(crate) all_projects: bool,
    /// Lines of the log from this level on.
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = ["debug", "info", "warning", "error"])]
    pub(crate) loglevel: String,
    /// One line for people each (short for --format pretty).
    #[arg(long, conflicts_with = "format")]
    pub(crate) pretty: bool,
    /// How to print them.
    #[arg(short = 'f', long, value_enum, default_value_t)]
    pub(crate) format: EventFormat,
}

/// How events are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum EventFormat {
    /// One document each.
    #[default]
    Yaml,
    /// One object a line.
    Json,
    /// One line for people each.
    Pretty,
}

// `query`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  rlxc query /1.0\n  rlxc query -X PATCH -d '{\"config\":{\"user.a\":\"b\"}}' /1.0/instances/dev1"
)]
pub(crate) struct QueryArgs {
    /// Path and query; a remote may stand before it, as in box:/1.0.
    pub(crate) path: String,
    /// Method.
    #[arg(
        short = 'X',
        long = "request",
        default_value = "GET",
        value_name = "METHOD"
    )]
    pub(crate) method: String,
    /// Body, JSON; `-` reads stdin.
    #[arg(short = 'd', long, value_name = "JSON")]
    pub(crate) data: Option<String>,
    /// Wait for the operation, and print how it ended.
    #[arg(long)]
    pub(crate) wait: bool,
    /// Print the whole reply, as it came.
    #[arg(long)]
    pub(crate) raw: bool,
}

// `top`.
#[derive(Debug, Args)]
#[command(
    after_help = "On a terminal: q ends it, c m d n sort by processor, memory, disk and name. Elsewhere it prints one table."
)]
pub(crate) struct TopArgs {
    /// Remote, with a colon.
    #[arg(value_name = "REMOTE:", value_parser = super::bare_remote)]
    pub(crate) remote: Option<String>,
    /// Seconds between two looks.
    #[arg(short = 'd', long, value_name = "SECONDS", default_value_t = 2.0)]
    pub(crate) delay: f64,
    /// What comes first.
    #[arg(short = 's', long, value_enum, default_value_t)]
    pub(crate) sort: TopOrder,
    /// Of all projects.
    #[arg(long)]
    pub(crate) all_projects: bool,
}

/// What `top` sorts by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum TopOrder {
    /// Processor time since the last look.
    #[default]
    Cpu,
    /// Memory.
    Memory,
    /// Disk.
    Disk,
    /// Name.
    Name,
}

// `manpage`.
#[derive(Debug, Args)]
pub(crate) struct ManpageArgs {
    /// Directory; made if it is missing.
    pub(crate) directory: std::path::PathBuf,
}

// `completion`.
#[derive(Debug, Args)]
#[command(
    after_help = "Names of instances, profiles and so on are asked of the daemon.\n\nExamples:\n  rlxc completion bash > /etc/bash_completion.d/rlxc\n  rlxc completion zsh > \"${fpath[1]}/_rlxc\"\n  rlxc completion fish > ~/.config/fish/completions/rlxc.fish"
)]
pub(crate) struct CompletionArgs {
    /// Shell.
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

/// Shells that we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    /// GNU Bash.
    Bash,
    /// Z shell.
    Zsh,
    /// fish.
    Fish,
}
