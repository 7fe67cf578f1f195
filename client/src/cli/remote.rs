//! `remote` and `config trust`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Format, FormatArg, NameArgs, NamesArgs};

// `remote`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum RemoteVerb {
    /// List remotes.
    #[command(visible_alias = "ls")]
    List(FormatArg),
    /// Add a daemon on another host, or an image server.
    #[command(after_help = ADD)]
    Add(RemoteAddArgs),
    /// Forget remotes.
    #[command(visible_alias = "rm")]
    Remove(NamesArgs),
    /// Rename a remote.
    Rename(RemoteRenameArgs),
    /// Let a remote be the one that is meant where none is named.
    Switch(NameArgs),
    /// Change the address of a remote.
    SetUrl(RemoteUrlArgs),
    /// Print the name of the remote that is meant where none is named.
    GetDefault,
    /// Make this client's certificate now; commands that need one make it by themselves.
    GenerateCertificate,
    /// Serve the API of a remote on a unix socket of this host, for programs without TLS.
    Proxy(RemoteProxyArgs),
}

const ADD: &str = "\
On the other host, once:
  rlxc config set core.https_address :8443
  rlxc config trust add laptop                  prints a token

Examples:
  rlxc remote add box 10.0.0.5 TOKEN
  rlxc remote add box TOKEN                     the token says where
  rlxc remote add images-of-box 10.0.0.5 --public
  rlxc remote add ours https://images.example.org --protocol simplestreams";

// `remote add`.
#[derive(Debug, Args)]
pub(crate) struct RemoteAddArgs {
    /// Name.
    pub(crate) name: String,
    /// HOST, HOST:PORT, https://…, or a token that says where.
    #[arg(value_name = "ADDRESS|TOKEN")]
    pub(crate) address: String,
    /// A token of `rlxc config trust add`.
    #[arg(value_name = "TOKEN", conflicts_with = "token_option")]
    pub(crate) token: Option<String>,
    /// The same.
    #[arg(long = "token", value_name = "TOKEN", id = "token_option")]
    pub(crate) token_option: Option<String>,
    /// The server's trust password.
    #[arg(long, value_name = "PASSWORD")]
    pub(crate) password: Option<String>,
    /// Accept the server's certificate unseen.
    #[arg(long)]
    pub(crate) accept_certificate: bool,
    /// It has public images, and need not trust this client.
    #[arg(long)]
    pub(crate) public: bool,
    /// Protocol.
    #[arg(long, default_value = "lxd", value_parser = ["lxd", "incus", "simplestreams"])]
    pub(crate) protocol: String,
}

impl RemoteAddArgs {
    /// The token, whichever way it was given.
    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref().or(self.token_option.as_deref())
    }
}

// `remote rename`.
#[derive(Debug, Args)]
pub(crate) struct RemoteRenameArgs {
    /// Name.
    pub(crate) name: String,
    /// New name.
    pub(crate) new_name: String,
}

// `remote set-url`.
#[derive(Debug, Args)]
pub(crate) struct RemoteUrlArgs {
    /// Name.
    pub(crate) name: String,
    /// HOST, HOST:PORT or https://….
    pub(crate) address: String,
}

// `remote proxy`.
#[derive(Debug, Args)]
pub(crate) struct RemoteProxyArgs {
    /// Remote, with a colon.
    #[arg(value_name = "REMOTE:")]
    pub(crate) remote: String,
    /// Where the socket is made; it goes with the proxy.
    pub(crate) path: PathBuf,
    /// Seconds without a connection after which it ends [default: never].
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<u64>,
}

// A list of things of a remote.
#[derive(Debug, Args)]
pub(crate) struct ListOfArgs {
    /// Remote, with a colon.
    #[arg(value_name = "REMOTE:", value_parser = super::bare_remote)]
    pub(crate) remote: Option<String>,
    /// How to print it.
    #[arg(short = 'f', long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

// A list of things that are in projects.
#[derive(Debug, Args)]
pub(crate) struct ListOfAllArgs {
    #[command(flatten)]
    pub(crate) list: ListOfArgs,
    /// Those of all projects.
    #[arg(long)]
    pub(crate) all_projects: bool,
}

// `config trust`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum TrustVerb {
    /// Make a token that lets one client in.
    #[command(
        after_help = "Examples:\n  rlxc config trust add laptop\n  rlxc config trust add ci --restricted --projects default"
    )]
    Add(TrustAddArgs),
    /// Trust a certificate that is in a file, PEM.
    AddCertificate(TrustAddCertificateArgs),
    /// List trusted certificates.
    #[command(visible_alias = "ls")]
    List(ListOfArgs),
    /// Print a trusted certificate as YAML.
    Show(NameArgs),
    /// Edit a trusted certificate as YAML; from stdin where that is no terminal.
    Edit(NameArgs),
    /// Trust certificates no longer.
    #[command(visible_alias = "rm")]
    Remove(NamesArgs),
    /// List tokens that were not used yet.
    ListTokens(ListOfArgs),
    /// Take the tokens of a client back.
    RevokeToken(NameArgs),
}

// How far a client reaches.
#[derive(Debug, Args)]
pub(crate) struct ReachArgs {
    /// It reaches only its projects.
    #[arg(long)]
    pub(crate) restricted: bool,
    /// Projects, joined by commas.
    #[arg(long, value_delimiter = ',', value_name = "PROJECTS")]
    pub(crate) projects: Vec<String>,
    /// What it is for.
    #[arg(long = "type", default_value = "client", value_parser = ["client", "metrics"])]
    pub(crate) kind: String,
}

// `config trust add`.
#[derive(Debug, Args)]
pub(crate) struct TrustAddArgs {
    /// Name of the client.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) reach: ReachArgs,
}

// `config trust add-certificate`.
#[derive(Debug, Args)]
pub(crate) struct TrustAddCertificateArgs {
    /// The certificate.
    pub(crate) file: PathBuf,
    /// Remote, with a colon.
    #[arg(value_name = "REMOTE:", value_parser = super::bare_remote)]
    pub(crate) remote: Option<String>,
    /// Name [default: the file's].
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) reach: ReachArgs,
}
