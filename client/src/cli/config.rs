//! `config`, `config device`; the device verbs serve profiles too.

use clap::{Args, Subcommand};

use super::{MetadataVerb, Pair, TemplateVerb, TrustVerb};

// `config`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum ConfigVerb {
    /// Print the value of a key.
    #[command(
        after_help = "Examples:\n  rlxc config get dev1 limits.memory\n  rlxc config get images.build.mirror"
    )]
    Get(ConfigGetArgs),
    /// Set keys, of an instance or, if none is named, of the server.
    #[command(
        after_help = "Examples:\n  rlxc config set dev1 limits.memory=1GiB limits.cpu=2\n  rlxc config set dev1 boot.autostart true"
    )]
    Set(ConfigSetArgs),
    /// Unset a key.
    Unset(ConfigGetArgs),
    /// Print the whole configuration as YAML.
    Show(ConfigShowArgs),
    /// Edit the whole configuration as YAML; from stdin where that is no terminal.
    Edit(ConfigEditArgs),
    /// Manage the devices of an instance.
    Device(DeviceVerb),
    /// Manage what the image of an instance says of itself.
    Metadata(MetadataVerb),
    /// Manage the templates that files of an instance are made of.
    Template(TemplateVerb),
    /// Manage who may use the daemon from other hosts.
    Trust(TrustVerb),
}

// `config get` and `unset`.
#[derive(Debug, Args)]
pub(crate) struct ConfigGetArgs {
    /// [INSTANCE] KEY.
    #[arg(required = true, num_args = 1..=2, value_names = ["INSTANCE", "KEY"])]
    pub(crate) words: Vec<String>,
    /// With the profiles applied.
    #[arg(short = 'e', long)]
    pub(crate) expanded: bool,
}

// `config set`.
#[derive(Debug, Args)]
pub(crate) struct ConfigSetArgs {
    /// [INSTANCE] KEY=VALUE…, or [INSTANCE] KEY VALUE; `--` stands before a VALUE that begins with a dash.
    #[arg(
        required = true,
        allow_negative_numbers = true,
        value_name = "[INSTANCE] KEY=VALUE"
    )]
    pub(crate) words: Vec<String>,
}

// `config show`.
#[derive(Debug, Args)]
pub(crate) struct ConfigShowArgs {
    /// Instance or INSTANCE/SNAPSHOT; the server if none is named.
    pub(crate) name: Option<String>,
    /// With the profiles applied.
    #[arg(short = 'e', long)]
    pub(crate) expanded: bool,
}

// `config edit`.
#[derive(Debug, Args)]
pub(crate) struct ConfigEditArgs {
    /// Instance; the server if none is named.
    pub(crate) name: Option<String>,
}

// `config device` and `profile device`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum DeviceVerb {
    /// Add a device.
    #[command(
        after_help = "Example:\n  rlxc config device add dev1 data disk source=/srv/data path=/data"
    )]
    Add(DeviceAddArgs),
    /// Remove devices.
    #[command(visible_alias = "rm")]
    Remove(DeviceRemoveArgs),
    /// List the names of devices.
    #[command(visible_alias = "ls")]
    List(DeviceOwnerArgs),
    /// Print devices as YAML.
    Show(DeviceOwnerArgs),
    /// Print the value of a key.
    Get(DeviceKeyArgs),
    /// Set keys.
    Set(DeviceSetArgs),
    /// Unset a key.
    Unset(DeviceKeyArgs),
    /// Take a device of a profile over into the instance, with changes.
    Override(DeviceOverrideArgs),
}

// `device add`.
#[derive(Debug, Args)]
pub(crate) struct DeviceAddArgs {
    /// Whose.
    pub(crate) owner: String,
    /// Name of the device.
    pub(crate) device: String,
    /// Type: disk, nic, proxy, unix-char, unix-block, none, …
    #[arg(value_name = "TYPE")]
    pub(crate) kind: String,
    /// Keys.
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) keys: Vec<Pair>,
}

// `device remove`.
#[derive(Debug, Args)]
pub(crate) struct DeviceRemoveArgs {
    /// Whose.
    pub(crate) owner: String,
    /// Devices.
    #[arg(required = true)]
    pub(crate) devices: Vec<String>,
}

// `device list` and `show`.
#[derive(Debug, Args)]
pub(crate) struct DeviceOwnerArgs {
    /// Whose.
    pub(crate) owner: String,
}

// `device get` and `unset`.
#[derive(Debug, Args)]
pub(crate) struct DeviceKeyArgs {
    /// Whose.
    pub(crate) owner: String,
    /// Device.
    pub(crate) device: String,
    /// Key.
    pub(crate) key: String,
}

// `device set`.
#[derive(Debug, Args)]
pub(crate) struct DeviceSetArgs {
    /// Whose.
    pub(crate) owner: String,
    /// Device.
    pub(crate) device: String,
    /// KEY=VALUE…, or KEY VALUE; `--` stands before a VALUE that begins with a dash.
    #[arg(
        required = true,
        allow_negative_numbers = true,
        value_name = "KEY=VALUE"
    )]
    pub(crate) words: Vec<String>,
}

// `device override`.
#[derive(Debug, Args)]
pub(crate) struct DeviceOverrideArgs {
    /// Instance.
    pub(crate) owner: String,
    /// Device.
    pub(crate) device: String,
    /// Keys to change.
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) keys: Vec<Pair>,
}

// `set` of networks, pools, profiles and projects.
#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// Of which one.
    pub(crate) name: String,
    /// KEY=VALUE…, or KEY VALUE; `--` stands before a VALUE that begins with a dash.
    #[arg(
        required = true,
        allow_negative_numbers = true,
        value_name = "KEY=VALUE"
    )]
    pub(crate) words: Vec<String>,
}

// `get` and `unset` of networks, pools, profiles and projects.
#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    /// Of which one.
    pub(crate) name: String,
    /// Key.
    pub(crate) key: String,
}

// `get` and `unset` of what takes more than a name to say.
#[derive(Debug, Args)]
pub(crate) struct KeyOf<T: Args> {
    #[command(flatten)]
    pub(crate) of: T,
    /// Key.
    pub(crate) key: String,
}

// `set` of the same.
#[derive(Debug, Args)]
pub(crate) struct SetOf<T: Args> {
    #[command(flatten)]
    pub(crate) of: T,
    /// KEY=VALUE…, or KEY VALUE; `--` stands before a VALUE that begins with a dash.
    #[arg(
        required = true,
        allow_negative_numbers = true,
        value_name = "KEY=VALUE"
    )]
    pub(crate) words: Vec<String>,
}

// `create` of what has keys and a description.
#[derive(Debug, Args)]
pub(crate) struct CreateOf<T: Args> {
    #[command(flatten)]
    pub(crate) of: T,
    /// Keys.
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) keys: Vec<Pair>,
    /// Description.
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
}

// One object by its name.
#[derive(Debug, Args)]
pub(crate) struct NameArgs {
    /// Name.
    pub(crate) name: String,
}

// Objects by their names.
#[derive(Debug, Args)]
pub(crate) struct NamesArgs {
    /// Names.
    #[arg(required = true)]
    pub(crate) names: Vec<String>,
}

// An object and its new name.
#[derive(Debug, Args)]
pub(crate) struct RenameToArgs {
    /// Name.
    pub(crate) name: String,
    /// New name.
    pub(crate) new_name: String,
}
