//! Instances and custom volumes between servers, by LXD's migration protocol: headers on one websocket, the files by rsync on another.
//!
//! ```text
//!  source ── offer: snapshots, rsync ──▶ sink          control
//!  source ◀── answer: what it takes ──── sink
//!  source ══ rsync: each snapshot ═════▶ sink          fs
//!  source ══ rsync: what it is now ════▶ sink
//!  source ◀── success, or why not ────── sink          control
//! ```
//! Where both are of our kind and both pools are btrfs, a stream of btrfs goes in place of each rsync.
//!
//! Who dials is a matter of the mode: in `pull` the sink, in `push` the source, in `relay` the client dials both.

mod arrival;
mod channel;
mod departure;
mod dial;
mod door;
pub(crate) mod rows;
mod rsync;
mod streams;
pub(crate) mod wire;

pub use arrival::{Arrival, Destination};
pub use channel::{Channel, Peer};
pub use departure::Departure;
pub use dial::Target;
pub use door::{Connection, Door};
pub use wire::{Features, SnapshotRow};

use prost::Message as _;
use rsync::Scratch;
use wire::{Control, Header};

/// What can't be sent or understood.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// The other end closed a connection before all was said.
    #[error("the other server closed the connection")]
    Closed,
    /// A connection broke.
    #[error("the connection to the other server")]
    Broken(#[source] std::io::Error),
    /// It can't be reached.
    #[error("connect to `{url}`")]
    Dial {
        /// Where.
        url: String,
        /// Why.
        #[source]
        source: crate::error::Cause,
    },
    /// It says something that is not in the protocol.
    #[error("understand the other server")]
    Decode(#[from] prost::DecodeError),
    /// It only speaks a way of transfer that is not known here.
    #[error("the other server offers no transfer by rsync")]
    NoRsync,
    /// It failed, and says why.
    #[error("the other server says: {0}")]
    Told(String),
    /// Whoever began it has ended it.
    #[error("it was cancelled")]
    Cancelled,
    /// The program.
    #[error(transparent)]
    Tool(#[from] rlxc_sys::tool::ToolError),
    /// The program failed, and says why.
    #[error("rsync ended with {status}: {stderr}")]
    Rsync {
        /// Its exit status.
        status: std::process::ExitStatus,
        /// The end of what it said.
        stderr: String,
    },
    /// A place for the files.
    #[error("prepare the files for rsync")]
    Place(#[source] crate::error::Cause),
}

/// Sends a message of the control connection.
async fn tell(channel: &mut Channel, message: &impl prost::Message) -> Result<(), MigrationError> {
    channel.send(message.encode_to_vec().into()).await
}

/// The next message of the control connection.
async fn hear<M: prost::Message + Default>(channel: &mut Channel) -> Result<M, MigrationError> {
    Ok(M::decode(channel.receive().await?)?)
}

/// The other side's header; it may have found instead that it can't go on, and say why.
async fn hear_header(channel: &mut Channel) -> Result<Header, MigrationError> {
    let message = channel.receive().await?;
    let header = Header::decode(message.clone());
    match (header, Control::decode(message)) {
        (Err(_), Ok(refusal)) if !refusal.success => {
            Err(MigrationError::Told(refusal.message.unwrap_or_default()))
        }
        (header, _) => Ok(header?),
    }
}

/// Waits for the sink's last word.
async fn verdict(channel: &mut Channel) -> Result<(), MigrationError> {
    let control: Control = hear(channel).await?;
    if control.success {
        return Ok(());
    }
    Err(MigrationError::Told(control.message.unwrap_or_default()))
}

impl Header {
    /// Features that both sides have; as an old server does it if it knows only some.
    fn common(&self, other: &Self) -> Result<Features, MigrationError> {
        let (Some(ours), Some(theirs)) = (&self.rsync_features, &other.rsync_features) else {
            return Err(MigrationError::NoRsync);
        };
        Ok(ours.both(*theirs))
    }
}
