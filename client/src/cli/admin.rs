//! `admin`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Format;

// `admin`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum AdminVerb {
    /// Give the daemon a storage pool, a bridge and a default profile.
    #[command(
        after_help = "Without an option it asks. What is there already stays as it is.\n\nExamples:\n  rlxc admin init --auto\n  rlxc admin init --dump > host.yaml\n  rlxc admin init --preseed < host.yaml"
    )]
    Init(InitArgs),
    /// Look at the host: what is missing, what it costs, how to mend it.
    Doctor(DoctorArgs),
    /// Wait until the daemon answers.
    Waitready(WaitreadyArgs),
    /// Stop the daemon and all instances.
    Shutdown(ShutdownArgs),
    /// Find instances and volumes on pools that the daemon's database does not know, and take them back.
    #[command(
        after_help = "Pools in the daemon's own directory are found. Without --yes it asks before anything is taken back.\n\nExamples:\n  rlxc admin recover\n  rlxc admin recover --yes\n  rlxc admin recover --pool data=/srv/rlxc --pool fast=/dev/sdb"
    )]
    Recover(RecoverArgs),
    /// Run SQL on the daemon's database: to look, and to repair what nothing else can. The daemon notices changes when it starts again.
    #[command(
        after_help = "Queries .dump and .schema print all of it, and its tables; - reads statements from stdin.\n\nExamples:\n  rlxc admin sql global 'SELECT name, ephemeral FROM instances'\n  rlxc admin sql global .dump > inventory.sql"
    )]
    Sql(SqlArgs),
    /// Look at the daemon's own certificate, or give it another.
    Certificate(CertificateVerb),
}

// `admin certificate`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum CertificateVerb {
    /// Print it as YAML: fingerprint, times, PEM.
    Show,
    /// Give the daemon another one, at once: a new one of its own, or yours. Other hosts must accept it by `remote add` again.
    #[command(
        after_help = "Examples:\n  rlxc admin certificate renew\n  rlxc admin certificate renew --certificate host.crt --key host.key"
    )]
    Renew(CertificateRenewArgs),
}

// `admin certificate renew`.
#[derive(Debug, Args)]
pub(crate) struct CertificateRenewArgs {
    /// A certificate of yours, PEM.
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) certificate: Option<PathBuf>,
    /// Its key, PEM.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub(crate) key: Option<PathBuf>,
}

// `admin init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Ask nothing, take what is best here.
    #[arg(long, group = "how")]
    pub(crate) auto: bool,
    /// Read it from stdin as YAML.
    #[arg(long, group = "how")]
    pub(crate) preseed: bool,
    /// Print what there is as YAML for --preseed.
    #[arg(long, group = "how")]
    pub(crate) dump: bool,
    /// Storage driver.
    #[arg(long, value_name = "DRIVER", conflicts_with_all = ["preseed", "dump"])]
    pub(crate) storage_backend: Option<String>,
    /// Directory or device of the pool.
    #[arg(long, value_name = "SOURCE", conflicts_with_all = ["preseed", "dump"])]
    pub(crate) storage_source: Option<String>,
}

// `admin doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Print what is well too.
    #[arg(short = 'a', long)]
    pub(crate) all: bool,
    /// How to print it; table is for people.
    #[arg(short = 'f', long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

// `admin recover`.
#[derive(Debug, Args)]
pub(crate) struct RecoverArgs {
    /// A pool elsewhere that the database does not know: a directory or a block device; may be given again.
    #[arg(long = "pool", value_name = "NAME=SOURCE", value_parser = name_and_source)]
    pub(crate) pools: Vec<(String, String)>,
    /// Take back what is found without asking.
    #[arg(short = 'y', long)]
    pub(crate) yes: bool,
}

fn name_and_source(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, source)) if !name.is_empty() && source.starts_with('/') => {
            Ok((name.to_owned(), source.to_owned()))
        }
        _ => Err("it must be NAME=SOURCE, with an absolute path as the source".to_owned()),
    }
}

// `admin sql`.
#[derive(Debug, Args)]
pub(crate) struct SqlArgs {
    /// global or local: names of other servers for what is one database here.
    pub(crate) database: String,
    /// Statements, .dump, .schema, or - for stdin.
    pub(crate) query: String,
    /// How to print rows.
    #[arg(short = 'f', long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

// `admin waitready`.
#[derive(Debug, Args)]
pub(crate) struct WaitreadyArgs {
    /// Seconds to wait, 0 for ever.
    #[arg(short = 't', long, default_value_t = 0, value_name = "SECONDS")]
    pub(crate) timeout: u64,
}

// `admin shutdown`.
#[derive(Debug, Args)]
pub(crate) struct ShutdownArgs {
    /// Do not wait for clean shutdowns of instances.
    #[arg(short = 'f', long)]
    pub(crate) force: bool,
    /// Seconds to wait for the daemon to end, 0 for ever.
    #[arg(short = 't', long, default_value_t = 0, value_name = "SECONDS")]
    pub(crate) timeout: u64,
}
