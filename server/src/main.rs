//! The entry point of `rlxcd`.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use rlxc_server::{daemon, places};
use rlxc_sys::chain::chain;
use tracing_subscriber::EnvFilter;

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
    /// Write logs as JSON
    #[arg(long)]
    log_json: bool,
    /// Log more; the same as RUST_LOG=rlxc=debug
    #[arg(long, short)]
    debug: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    start_logging(&args);
    let result = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(worker_threads())
        .thread_name("rlxcd")
        .enable_all()
        .build()
        .map_err(|error| rlxc_server::error::Error::failed("start the runtime", error))
        .and_then(|runtime| runtime.block_on(daemon::run(&args.dir, &args.group)));
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

fn start_logging(args: &Args) {
    let default = if args.debug {
        "rlxc=debug,info"
    } else {
        "info"
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false);
    if args.log_json {
        builder.json().init();
    } else {
        builder.with_target(false).init();
    }
}
