//! The entry point of `rlxcd`.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use rlxc_server::clock::SystemClock;
use rlxc_server::daemon::{self, Options};
use rlxc_server::events::Events;
use rlxc_server::log_layer::log_layer;
use rlxc_server::places;
use rlxc_sys::chain::chain;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

/// Keeps unprivileged system containers: storage, networks, snapshots, all over a REST API
#[derive(Debug, Parser)]
#[command(name = "rlxcd", version)]
struct Args {
    /// Directory of the inventory, images and pools
    #[arg(long, env = "RLXC_DIR", default_value = places::DEFAULT_DIR)]
    dir: PathBuf,
    /// Unix group whose members may use the socket
    #[arg(long, default_value = "rlxc")]
    group: String,
    /// Unix group whose members get a project of their own by the socket for users
    #[arg(long, default_value = "rlxc-user")]
    user_group: String,
    /// Write logs as JSON
    #[arg(long)]
    log_json: bool,
    /// Log more; the same as RUST_LOG=rlxc=debug
    #[arg(long, short)]
    debug: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    // Before anything else opens a descriptor.
    let inherited = rlxc_sys::activation::take();
    let events = Events::new(Arc::new(SystemClock));
    start_logging(&args, &events);
    let inherited = match inherited {
        Ok(inherited) => inherited,
        Err(error) => {
            tracing::error!("take over the sockets of the service manager: {error}");
            return ExitCode::FAILURE;
        }
    };
    let options = Options {
        directory: args.dir,
        group: args.group,
        user_group: args.user_group,
        inherited,
        events,
    };
    let result = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(worker_threads())
        .thread_name("rlxcd")
        .enable_all()
        .build()
        .map_err(|error| rlxc_server::error::Error::failed("start the runtime", error))
        .and_then(|runtime| runtime.block_on(daemon::run(options)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// The daemon waits much and computes little: a few threads do, and each costs memory.
fn worker_threads() -> usize {
    std::thread::available_parallelism().map_or(2, |count| count.get().clamp(2, 4))
}

fn start_logging(args: &Args, events: &Events) {
    let default = if args.debug {
        "rlxc=debug,info"
    } else {
        "info"
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let lines = if args.log_json {
        lines.json().boxed()
    } else {
        lines.with_target(false).boxed()
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .with(log_layer(events.clone()))
        .init();
}
