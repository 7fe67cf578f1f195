//! `exec`, `shell`, `console`, `file`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Pair;

const EXEC: &str = "\
Streams go through as they are, so pipes work both ways. With a terminal on both ends the command gets one too.

Examples:
  rlxc exec dev1 -- systemctl is-system-running
  rlxc exec dev1 --env DEBUG=1 --cwd /srv -- make test
  tar c . | rlxc exec dev1 -- tar x -C /srv
  rlxc exec dev1 --user 1000 --group 1000 -- id";

// `exec`.
#[derive(Debug, Args)]
#[command(after_help = EXEC)]
pub(crate) struct ExecArgs {
    /// Instance.
    pub(crate) name: String,
    /// Command and its arguments; `--` before it keeps its options apart from ours.
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
    #[command(flatten)]
    pub(crate) options: ExecOptions,
}

// Options of `exec` and `shell`.
#[derive(Debug, Default, Args)]
pub(crate) struct ExecOptions {
    /// Variable of its environment, may be given more than once.
    #[arg(long = "env", value_name = "KEY=VALUE")]
    pub(crate) environment: Vec<Pair>,
    /// Whether it gets a terminal [default: where stdin and stdout are one].
    #[arg(long, value_enum, value_name = "MODE")]
    pub(crate) mode: Option<Mode>,
    /// Give it a terminal (--mode interactive).
    #[arg(short = 't', long = "force-interactive", conflicts_with_all = ["mode", "no_terminal"])]
    pub(crate) terminal: bool,
    /// Give it none (--mode non-interactive).
    #[arg(short = 'T', long = "force-noninteractive", conflicts_with = "mode")]
    pub(crate) no_terminal: bool,
    /// Leave our stdin alone; it reads /dev/null.
    #[arg(short = 'n', long)]
    pub(crate) disable_stdin: bool,
    /// User id.
    #[arg(long, value_name = "UID", default_value_t = 0)]
    pub(crate) user: u32,
    /// Group id.
    #[arg(long, value_name = "GID", default_value_t = 0)]
    pub(crate) group: u32,
    /// Working directory.
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) cwd: Option<String>,
}

/// Whether a command gets a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Mode {
    /// Where stdin and stdout are terminals.
    #[default]
    Auto,
    /// Always.
    Interactive,
    /// Never.
    NonInteractive,
}

// `shell`.
#[derive(Debug, Args)]
pub(crate) struct ShellArgs {
    /// Instance.
    pub(crate) name: String,
    /// User to log in as.
    #[arg(long, default_value = "root")]
    pub(crate) login: String,
    /// Variable of its environment, may be given more than once.
    #[arg(long = "env", value_name = "KEY=VALUE")]
    pub(crate) environment: Vec<Pair>,
}

// `console`.
#[derive(Debug, Args)]
pub(crate) struct ConsoleArgs {
    /// Instance.
    pub(crate) name: String,
    /// Print what was on the console so far, and end.
    #[arg(long)]
    pub(crate) show_log: bool,
    /// Take it over from whom has it.
    #[arg(long)]
    pub(crate) force: bool,
}

// `file`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum FileVerb {
    /// Copy files from here into an instance.
    Push(FilePushArgs),
    /// Copy files from an instance to here.
    Pull(FilePullArgs),
    /// Edit a file of an instance.
    Edit(FilePathArgs),
    /// Delete files of instances.
    #[command(visible_alias = "rm")]
    Delete(FilePathsArgs),
    /// Create an empty file, a directory or a symlink in an instance.
    Create(FileCreateArgs),
    /// Mount a directory of an instance here, by sshfs, until Ctrl-C.
    Mount(FileMountArgs),
    /// Speak SFTP on stdin and stdout.
    #[command(after_help = "Example:\n  sftp -D 'rlxc file sftp dev1'")]
    Sftp(FileSftpArgs),
}

// `file push`.
#[derive(Debug, Args)]
pub(crate) struct FilePushArgs {
    /// Files, `-` for stdin, then INSTANCE/PATH.
    #[arg(required = true, num_args = 2.., value_name = "FILE… INSTANCE/PATH")]
    pub(crate) paths: Vec<String>,
    /// Directories with all that is in them.
    #[arg(short = 'r', long)]
    pub(crate) recursive: bool,
    /// Make the directories above it.
    #[arg(short = 'p', long)]
    pub(crate) create_dirs: bool,
    /// Owner [default: 0; with --recursive, the file's].
    #[arg(long)]
    pub(crate) uid: Option<u32>,
    /// Group [default: 0; with --recursive, the file's].
    #[arg(long)]
    pub(crate) gid: Option<u32>,
    /// Mode, octal [default: the file's].
    #[arg(long)]
    pub(crate) mode: Option<String>,
}

// `file pull`.
#[derive(Debug, Args)]
pub(crate) struct FilePullArgs {
    /// INSTANCE/PATH.
    #[arg(required = true, value_name = "INSTANCE/PATH")]
    pub(crate) source: String,
    /// Where to put it, `-` for stdout.
    pub(crate) target: PathBuf,
    /// Directories with all that is in them.
    #[arg(short = 'r', long)]
    pub(crate) recursive: bool,
}

// `file mount`.
#[derive(Debug, Args)]
pub(crate) struct FileMountArgs {
    /// Instance, or INSTANCE/PATH.
    #[arg(value_name = "INSTANCE[/PATH]")]
    pub(crate) source: String,
    /// Directory to mount it on.
    pub(crate) target: PathBuf,
}

// `file sftp`.
#[derive(Debug, Args)]
pub(crate) struct FileSftpArgs {
    /// Instance.
    pub(crate) instance: String,
}

// One path in an instance.
#[derive(Debug, Args)]
pub(crate) struct FilePathArgs {
    /// INSTANCE/PATH.
    #[arg(value_name = "INSTANCE/PATH")]
    pub(crate) path: String,
}

// Paths in instances.
#[derive(Debug, Args)]
pub(crate) struct FilePathsArgs {
    /// INSTANCE/PATH.
    #[arg(required = true, value_name = "INSTANCE/PATH")]
    pub(crate) paths: Vec<String>,
    /// Directories with all that is in them.
    #[arg(short = 'r', long, visible_short_alias = 'f', visible_alias = "force")]
    pub(crate) recursive: bool,
}

// `file create`.
#[derive(Debug, Args)]
pub(crate) struct FileCreateArgs {
    /// INSTANCE/PATH.
    #[arg(value_name = "INSTANCE/PATH")]
    pub(crate) path: String,
    /// What to create.
    #[arg(long = "type", value_enum, default_value_t)]
    pub(crate) kind: FileKind,
    /// Target of a symlink.
    #[arg(required_if_eq("kind", "symlink"))]
    pub(crate) target: Option<String>,
    /// Make the directories above it.
    #[arg(short = 'p', long)]
    pub(crate) create_dirs: bool,
    /// Owner.
    #[arg(long, default_value_t = 0)]
    pub(crate) uid: u32,
    /// Group.
    #[arg(long, default_value_t = 0)]
    pub(crate) gid: u32,
    /// Mode, octal.
    #[arg(long)]
    pub(crate) mode: Option<String>,
}

/// What `file create` creates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum FileKind {
    /// An empty file.
    #[default]
    File,
    /// A directory.
    Directory,
    /// A symlink.
    Symlink,
}
