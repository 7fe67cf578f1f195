//! The commands, one file each.

mod admin;
mod alias;
mod backup;
mod config;
mod copy;
mod create;
mod delete;
mod device;
mod doctor;
mod exec;
mod expiry;
mod file;
mod image;
mod image_alias;
mod image_copy;
mod image_import;
mod image_list;
mod image_remote;
mod image_server;
mod image_source;
mod info;
mod init;
mod keys;
mod list;
mod manpage;
mod metadata;
mod monitor;
mod network;
mod network_acl;
mod network_forward;
mod network_zone;
mod operation;
mod profile;
mod project;
mod publish;
mod query;
mod rebuild;
mod recover;
mod remote;
mod remote_add;
mod remote_proxy;
mod snapshot;
mod sql;
mod state;
mod storage;
mod top;
mod travel;
mod trust;
mod version;
mod volume;
mod volume_copy;
mod volume_snapshot;
mod warning;

use anyhow::Result;
use rlxc_client::url;

use crate::cli::{CompletionArgs, Shell, Verb};
use crate::context::Context;

/// Runs a command; gives back the exit code.
pub(crate) async fn run(context: &Context, verb: Verb) -> Result<u8> {
    match verb {
        Verb::Exec(args) => return exec::run(context, args).await,
        Verb::Shell(args) => return exec::shell(context, args).await,
        Verb::Admin(verb) => return admin::run(context, verb).await,
        Verb::Launch(args) => create::launch(context, args).await,
        Verb::Create(args) => create::create(context, args).await,
        Verb::List(args) => list::run(context, &args).await,
        Verb::Info(args) => info::run(context, args).await,
        Verb::Start(args) => state::run(context, state::Action::Start, args).await,
        Verb::Stop(args) => state::run(context, state::Action::Stop, args).await,
        Verb::Restart(args) => state::run(context, state::Action::Restart, args).await,
        Verb::Pause(args) => state::run(context, state::Action::Pause, args).await,
        Verb::Resume(args) => state::run(context, state::Action::Resume, args).await,
        Verb::Delete(args) => delete::run(context, args).await,
        Verb::Rename(args) => copy::rename(context, &args.name, &args.new_name).await,
        Verb::Copy(args) => copy::run(context, args).await,
        Verb::Move(args) => copy::relocate(context, args).await,
        Verb::Console(args) => exec::console(context, &args.name, args.show_log, args.force).await,
        Verb::File(verb) => file::run(context, verb).await,
        Verb::Snapshot(verb) => snapshot::run(context, verb).await,
        Verb::Restore(args) => snapshot::restore(context, &args).await,
        Verb::Export(args) => backup::export(context, args).await,
        Verb::Import(args) => backup::import(context, args).await,
        Verb::Publish(args) => publish::run(context, args).await,
        Verb::Rebuild(args) => rebuild::run(context, args).await,
        Verb::Config(verb) => config::run(context, verb).await,
        Verb::Profile(verb) => profile::run(context, verb).await,
        Verb::Project(verb) => project::run(context, verb).await,
        Verb::Image(verb) => image::run(context, verb).await,
        Verb::Network(verb) => network::run(context, verb).await,
        Verb::Storage(verb) => storage::run(context, verb).await,
        Verb::Remote(verb) => remote::run(context, verb).await,
        Verb::Operation(verb) => operation::run(context, verb).await,
        Verb::History(args) => operation::history(context, &args).await,
        Verb::Warning(verb) => warning::run(context, verb).await,
        Verb::Monitor(args) => monitor::run(context, &args).await,
        Verb::Query(args) => query::run(context, args).await,
        Verb::Alias(verb) => alias::run(context, verb),
        Verb::Top(args) => top::run(context, &args).await,
        Verb::Manpage(args) => manpage::run(&args.directory),
        Verb::Version => version::run(context).await,
        Verb::Completion(args) => completion(context, &args),
    }
    .map(|()| 0)
}

fn completion(context: &Context, args: &CompletionArgs) -> Result<()> {
    let shell = match args.shell {
        Shell::Bash => "bash",
        Shell::Zsh => "zsh",
        Shell::Fish => "fish",
    };
    context.printer.bytes(&crate::completion::script(shell)?)
}

/// Path of an instance, or of a snapshot written as INSTANCE/SNAPSHOT.
fn instance_or_snapshot(name: &str) -> String {
    match name.split_once('/') {
        Some((instance, snapshot)) => format!(
            "{}/snapshots/{}",
            url::instance(instance),
            url::encode(snapshot)
        ),
        None => url::instance(name),
    }
}

/// Path of an object of a collection.
fn object(collection: &str, name: &str) -> String {
    format!("/1.0/{collection}/{}", url::encode(name))
}
