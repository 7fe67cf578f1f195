//! `launch`, `create`, `list`, `info`, the verbs of state, `delete`, `rename`, `copy`, `move`, `publish`.

use clap::Args;

use super::{FormatArg, Pair};

const IMAGES: &str = "\
IMAGE is looked up among the local aliases and fingerprints, then on the image servers
(`rlxc remote list`). If none has it or none can be reached, it is built from the packages
of its distribution. You are told which.

The YAML of the instance may come from stdin, a file or a pipe: what `rlxc config show` prints,
without the `volatile.` keys, which are another's. Options have the last word. A pipe is read to its end: add `< /dev/null` in a loop that
reads one of its own, and in a script that a shell reads from one.

Examples:
  rlxc launch debian dev1
  rlxc launch ubuntu/24.04 -c limits.memory=1GiB -c limits.cpu=2
  rlxc launch debian/12 db1 -d root,size=20GiB
  rlxc launch debian dev2 < dev2.yaml
  rlxc launch images:alpine/3.20 edge1 -p default -p web --ephemeral";

// What `launch` and `create` share.
#[derive(Debug, Args)]
#[command(after_help = IMAGES)]
pub(crate) struct CreateArgs {
    /// Image: an alias, a fingerprint, or SERVER:ALIAS.
    #[arg(required_unless_present = "empty")]
    pub(crate) image: Option<String>,
    /// Name; the server picks one if there is none.
    pub(crate) name: Option<String>,
    /// Profile to apply, may be given more than once [default: default].
    #[arg(short = 'p', long = "profile", value_name = "PROFILE")]
    pub(crate) profiles: Vec<String>,
    /// Apply no profile at all.
    #[arg(long, conflicts_with = "profiles")]
    pub(crate) no_profiles: bool,
    /// Configuration key, may be given more than once.
    #[arg(short = 'c', long = "config", value_name = "KEY=VALUE")]
    pub(crate) config: Vec<Pair>,
    /// Key of a device, may be given more than once.
    #[arg(short = 'd', long = "device", value_name = "DEVICE,KEY=VALUE")]
    pub(crate) devices: Vec<String>,
    /// Network for eth0.
    #[arg(short = 'n', long, value_name = "NETWORK")]
    pub(crate) network: Option<String>,
    /// Storage pool for the root file system.
    #[arg(short = 's', long, value_name = "POOL")]
    pub(crate) storage: Option<String>,
    /// Delete it when it stops.
    #[arg(short = 'e', long)]
    pub(crate) ephemeral: bool,
    /// Size: the name of a cloud's instance type, or cCPU-mMEMORY.
    #[arg(short = 't', long = "type", value_name = "TYPE")]
    pub(crate) instance_type: Option<String>,
    /// Description.
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
    /// Create it without an image.
    #[arg(long)]
    pub(crate) empty: bool,
}

// `launch`.
#[derive(Debug, Args)]
#[command(after_help = IMAGES)]
pub(crate) struct LaunchArgs {
    #[command(flatten)]
    pub(crate) create: CreateArgs,
    /// Attach to its console at once.
    #[arg(long)]
    pub(crate) console: bool,
}

const COLUMNS: &str = "\
Columns:
  n name          s state       4 IPv4            6 IPv6           t type      S number of snapshots
  a architecture  c created     d description     l last used      p pid       P profiles
  e project       m memory      M memory in %     N processes      u cpu time  D disk
  L location      q ephemeral   b storage pool    f, F fingerprint of the image, short and long
  [config:|devices:]KEY[:NAME[:WIDTH]] a key of the configuration or of a device, after a comma

Filters, of which all must fit: the beginning of a name, an expression for names (`web.*1$`),
name= status= type= architecture= project= profile= with one value or several after commas,
ipv4= ipv6= with an address or a subnet, or KEY=EXPRESSION of the configuration; parts of KEY may be cut
short, as in `u.owner=ann`.

Examples:
  rlxc list web
  rlxc list status=stopped -c ns
  rlxc list -c ns4,limits.memory:MEM,devices:eth0.network
  rlxc list user.owner=ann --format json";

// `list`.
#[derive(Debug, Args)]
#[command(after_help = COLUMNS)]
pub(crate) struct ListArgs {
    /// Which ones; all must fit.
    pub(crate) filters: Vec<String>,
    /// Columns to print [default: ns46tS].
    #[arg(short = 'c', long, value_name = "COLUMNS")]
    pub(crate) columns: Option<String>,
    /// Of all projects.
    #[arg(long)]
    pub(crate) all_projects: bool,
    /// The columns that cost least (nsacPt).
    #[arg(long, conflicts_with = "columns")]
    pub(crate) fast: bool,
    #[command(flatten)]
    pub(crate) format: FormatArg,
}

// `info`.
#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// Instance; the server if none is named.
    pub(crate) name: Option<String>,
    /// Print its log instead.
    #[arg(long, requires = "name")]
    pub(crate) show_log: bool,
    /// Print resources instead: use and limits, or what the server is made of.
    #[arg(long, conflicts_with = "show_log")]
    pub(crate) resources: bool,
}

// `start`, `stop`, `restart`, `pause`, `resume`.
#[derive(Debug, Args)]
pub(crate) struct StateArgs {
    /// Instances.
    #[arg(required_unless_present = "all")]
    pub(crate) names: Vec<String>,
    /// All instances of the project.
    #[arg(long, conflicts_with = "names")]
    pub(crate) all: bool,
    /// Do not wait for a clean shutdown (stop, restart).
    #[arg(short = 'f', long)]
    pub(crate) force: bool,
    /// Seconds to wait for a clean shutdown, -1 for ever (stop, restart).
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub(crate) timeout: Option<i64>,
    /// Attach to the console at once (start, restart).
    #[arg(long, conflicts_with = "all")]
    pub(crate) console: bool,
}

// `delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// Instances, or snapshots as INSTANCE/SNAPSHOT.
    #[arg(required = true)]
    pub(crate) names: Vec<String>,
    /// Stop them first if they run.
    #[arg(short = 'f', long)]
    pub(crate) force: bool,
    /// Ask before each.
    #[arg(short = 'i', long)]
    pub(crate) interactive: bool,
}

// `rename`.
#[derive(Debug, Args)]
pub(crate) struct RenameArgs {
    /// Instance, or INSTANCE/SNAPSHOT.
    pub(crate) name: String,
    /// New name.
    pub(crate) new_name: String,
}

// `copy`.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of the command line"
)]
#[derive(Debug, Args)]
pub(crate) struct CopyArgs {
    /// Instance, or INSTANCE/SNAPSHOT.
    pub(crate) source: String,
    /// Name of the copy.
    pub(crate) target: Option<String>,
    /// Leave the snapshots.
    #[arg(long)]
    pub(crate) instance_only: bool,
    /// Bring an existing copy up to date.
    #[arg(long)]
    pub(crate) refresh: bool,
    /// The copy is deleted when it stops.
    #[arg(short = 'e', long)]
    pub(crate) ephemeral: bool,
    /// Configuration key of the copy.
    #[arg(short = 'c', long = "config", value_name = "KEY=VALUE")]
    pub(crate) config: Vec<Pair>,
    /// Key of a device of the copy.
    #[arg(short = 'd', long = "device", value_name = "DEVICE,KEY=VALUE")]
    pub(crate) devices: Vec<String>,
    /// Profile of the copy, instead of the source's.
    #[arg(short = 'p', long = "profile", value_name = "PROFILE")]
    pub(crate) profiles: Vec<String>,
    /// Storage pool of the copy.
    #[arg(short = 's', long, value_name = "POOL")]
    pub(crate) storage: Option<String>,
    /// Project of the copy.
    #[arg(long, value_name = "PROJECT")]
    pub(crate) target_project: Option<String>,
    /// To another server: the target dials the source (pull), the source the target (push), or we dial both (relay).
    #[arg(long, value_enum)]
    pub(crate) mode: Option<TravelMode>,
    /// Leave what runs in memory, which is always so here.
    #[arg(long, hide = true)]
    pub(crate) stateless: bool,
    /// The other remote that it goes to.
    #[arg(skip)]
    pub(crate) to: Option<String>,
}

/// Who connects to whom; the help of `--mode` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum TravelMode {
    Pull,
    Push,
    Relay,
}

// `move`.
#[derive(Debug, Args)]
pub(crate) struct MoveArgs {
    /// Instance, or INSTANCE/SNAPSHOT.
    pub(crate) source: String,
    /// New name.
    #[arg(required_unless_present_any = ["storage", "target_project"])]
    pub(crate) target: Option<String>,
    /// Storage pool to move it to.
    #[arg(short = 's', long, value_name = "POOL")]
    pub(crate) storage: Option<String>,
    /// Project to move it to.
    #[arg(long, value_name = "PROJECT")]
    pub(crate) target_project: Option<String>,
    /// To another server: the target dials the source (pull), the source the target (push), or we dial both (relay).
    #[arg(long, value_enum)]
    pub(crate) mode: Option<TravelMode>,
    /// Leave the snapshots (to another server).
    #[arg(long)]
    pub(crate) instance_only: bool,
    /// Leave what runs in memory, which is always so here.
    #[arg(long, hide = true)]
    pub(crate) stateless: bool,
    /// The other remote that it goes to.
    #[arg(skip)]
    pub(crate) to: Option<String>,
}

// `rebuild`.
#[derive(Debug, Args)]
pub(crate) struct RebuildArgs {
    /// Instance.
    #[arg(value_name = "INSTANCE")]
    pub(crate) name: String,
    /// Image [default: the one that it was made of].
    #[arg(value_name = "IMAGE", conflicts_with = "empty")]
    pub(crate) image: Option<String>,
    /// Leave the root empty.
    #[arg(long)]
    pub(crate) empty: bool,
    /// Stop it for that if it runs, and start it again.
    #[arg(short = 'f', long)]
    pub(crate) force: bool,
}

// `publish`.
#[derive(Debug, Args)]
pub(crate) struct PublishArgs {
    /// Instance, or INSTANCE/SNAPSHOT.
    pub(crate) source: String,
    /// Properties of the image.
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) properties: Vec<Pair>,
    /// Alias of the image, may be given more than once.
    #[arg(long = "alias", value_name = "ALIAS")]
    pub(crate) aliases: Vec<String>,
    /// Stop the instance meanwhile if it runs.
    #[arg(short = 'f', long)]
    pub(crate) force: bool,
    /// Open it to clients that are not trusted.
    #[arg(long)]
    pub(crate) public: bool,
    /// Take these aliases over even if other images have them.
    #[arg(long)]
    pub(crate) reuse: bool,
    /// When it is deleted: a time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    pub(crate) expire: Option<String>,
    /// How to pack it: zstd, gzip, xz or none, with a level if need be: `zstd -19`.
    #[arg(long, value_name = "ALGORITHM")]
    pub(crate) compression: Option<String>,
}
