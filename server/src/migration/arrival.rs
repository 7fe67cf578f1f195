//! The side that something comes to.

use std::path::PathBuf;
use std::sync::Arc;

use rlxc_storage::{Driver, Piece, SnapshotId, Source, State, VolumeKind, VolumeRef, transfer};
use tokio_util::sync::CancellationToken;

use super::{
    Control, Door, Features, Header, MigrationError, Peer, Scratch, SnapshotRow, hear_header,
    rsync, streams, tell,
};
use crate::context::blocking;
use crate::error::{Error, Result};

/// Something on its way to us: the other server has told what it is, and waits for the answer.
#[derive(Debug)]
pub struct Arrival {
    peer: Peer,
    features: Features,
    offer: Header,
}

/// Where it goes.
#[derive(Debug)]
pub struct Destination {
    /// The pool.
    pub driver: Arc<dyn Driver>,
    /// The volume.
    pub volume: VolumeRef,
    /// What it begins with if it is a new one; it is there otherwise, and is brought up to date.
    pub base: Option<Source>,
    /// Ids of the snapshots that come, in their order.
    pub snapshots: Vec<SnapshotId>,
    /// Where directories can be made for the moment.
    pub scratch: PathBuf,
}

impl Arrival {
    /// Waits for the other server and what it offers.
    pub async fn meet(door: Door) -> Result<Self> {
        let mut peer = door.open().await?;
        let failed = |error| Error::failed("receive what another server sends", error);
        let offer = hear_header(&mut peer.control).await.map_err(failed)?;
        let ours = Header {
            rsync_features: Some(Features::all()),
            ..Header::default()
        };
        match ours.common(&offer) {
            Ok(features) => Ok(Self {
                peer,
                features,
                offer,
            }),
            Err(error) => {
                let error = failed(error);
                say(&mut peer, Some(&error)).await;
                Err(error)
            }
        }
    }

    /// Snapshots that can come along, the oldest first.
    pub fn offered(&self) -> &[SnapshotRow] {
        &self.offer.snapshots
    }

    /// Whether the owners of the files are not those that a container sees.
    pub fn is_shifted(&self) -> bool {
        !self.offer.idmap.is_empty()
    }

    /// Takes the snapshots that are wanted, by name, and then what there is now. All snapshots unless it is a refresh.
    pub async fn take(
        &mut self,
        wanted: Option<&[String]>,
        into: &Destination,
        cancelled: &CancellationToken,
    ) -> Result<(), MigrationError> {
        // Who brings something up to date sends only what is new by rsync, which looks at what is there.
        let by_streams = self.offer.streams == Some(true)
            && into.driver.capabilities().streams
            && into.base == Some(Source::Empty);
        if let (Some(base), false) = (into.base.clone(), by_streams) {
            let (driver, volume) = (Arc::clone(&into.driver), into.volume);
            blocking(move || driver.create_volume(volume, &base))
                .await
                .map_err(|error| MigrationError::Place(error.into()))?;
        }
        self.answer(wanted, by_streams).await?;
        if by_streams {
            let place = (&into.driver, into.volume);
            for piece in Piece::all(&into.snapshots, None) {
                streams::receive(&mut self.peer.files, place, piece, cancelled).await?;
            }
            return Ok(());
        }
        self.take_files(into, cancelled).await
    }

    async fn answer(
        &mut self,
        wanted: Option<&[String]>,
        by_streams: bool,
    ) -> Result<(), MigrationError> {
        let is_wanted = |name: &String| wanted.is_none_or(|wanted| wanted.contains(name));
        let offer = &self.offer;
        let answer = Header {
            snapshot_names: offer
                .snapshot_names
                .iter()
                .filter(|name| is_wanted(name))
                .cloned()
                .collect(),
            snapshots: offer
                .snapshots
                .iter()
                .filter(|row| is_wanted(&row.name))
                .cloned()
                .collect(),
            predump: Some(false),
            rsync_features: Some(self.features),
            refresh: Some(wanted.is_some()),
            streams: Some(by_streams),
            ..Header::default()
        };
        tell(&mut self.peer.control, &answer).await
    }

    async fn take_files(
        &mut self,
        into: &Destination,
        cancelled: &CancellationToken,
    ) -> Result<(), MigrationError> {
        let (parent, volume) = (into.scratch.clone(), into.volume);
        let scratch = blocking(move || Scratch::create(&parent, volume.kind)).await?;
        let place = |error: rlxc_storage::Error| MigrationError::Place(error.into());
        for snapshot in into.snapshots.iter().copied().map(Some).chain([None]) {
            let driver = Arc::clone(&into.driver);
            let root = blocking(move || driver.root(volume)).await.map_err(place)?;
            let received = rsync::receive(&mut self.peer.files, (&scratch, root), self.features);
            tokio::select! {
                received = received => received?,
                () = cancelled.cancelled() => return Err(MigrationError::Cancelled),
            }
            if let Some(snapshot) = snapshot {
                let driver = Arc::clone(&into.driver);
                let taken = move || {
                    driver.create_snapshot(volume, snapshot, State::Stopped)?;
                    driver.settle_snapshot(volume, snapshot)
                };
                blocking(taken).await.map_err(place)?;
            }
        }
        let driver = Arc::clone(&into.driver);
        blocking(move || match volume.kind {
            VolumeKind::Container => transfer::adopt(&*driver, volume, scratch.path()),
            VolumeKind::Custom => transfer::settle(&*driver, volume),
        })
        .await
        .map_err(|error| MigrationError::Place(error.into()))
    }

    /// Tells the other server how it went, once that is on disk.
    pub async fn end(mut self, error: Option<&Error>) {
        say(&mut self.peer, error).await;
        self.peer.control.close().await;
        self.peer.files.close().await;
    }
}

async fn say(peer: &mut Peer, error: Option<&Error>) {
    let control = Control {
        success: error.is_none(),
        message: error.map(|error| rlxc_sys::chain::chain(error).to_string()),
    };
    // Who is gone needs no word.
    drop(tell(&mut peer.control, &control).await);
}
