//! What every driver must keep: one suite that all of them pass, the fake one too. For tests.

use std::path::Path;

use rlxc_sys::file::{self, FileError};
use rlxc_sys::rootfs::RootSource;

use crate::driver::{Driver, Source, State};
use crate::volume::{SnapshotId, VolumeRef};

/// Looks into roots and changes them as a container would. Names are single components.
pub trait Probe {
    /// The text of a file, `None` if there is none.
    fn read(&self, root: &RootSource, name: &str) -> Result<Option<String>, FileError>;
    /// Writes a file.
    fn write(&self, root: &RootSource, name: &str, text: &str) -> Result<(), FileError>;
    /// Removes a file.
    fn remove(&self, root: &RootSource, name: &str) -> Result<(), FileError>;
}

/// Why a driver does not conform; any error will do.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
type Outcome = Result<(), Failure>;

const IMAGE: &str = "0123abcd";
const ONE: VolumeRef = VolumeRef {
    kind: crate::volume::VolumeKind::Container,
    id: 1,
};
const TWO: VolumeRef = VolumeRef {
    kind: crate::volume::VolumeKind::Container,
    id: 2,
};
const FIRST: SnapshotId = SnapshotId(11);
const SECOND: SnapshotId = SnapshotId(12);
const THIRD: SnapshotId = SnapshotId(13);

/// A driver under test.
#[derive(Debug, Clone, Copy)]
struct Subject<'a, P> {
    driver: &'a dyn Driver,
    probe: &'a P,
}

type Case<'a, P> = fn(&Subject<'a, P>) -> Outcome;

/// Runs every case on an empty pool, and empties it again after each.
pub fn check<'a, P: Probe>(driver: &'a dyn Driver, probe: &'a P) -> Outcome {
    let subject = Subject { driver, probe };
    let cases: [(&str, Case<'a, P>); 11] = [
        ("images", Subject::images),
        ("failed filler", Subject::failed_filler),
        ("volumes", Subject::volumes),
        ("missing things", Subject::missing_things),
        ("snapshots", Subject::snapshots),
        ("snapshots of running", Subject::frozen_snapshots),
        ("delete in the middle", Subject::delete_in_the_middle),
        ("copies", Subject::copies),
        ("copies of snapshots", Subject::copies_of_snapshots),
        ("deleted image", Subject::deleted_image),
        ("many snapshots", Subject::many_snapshots),
    ];
    for (name, case) in cases {
        case(&subject)
            .and_then(|()| subject.clean())
            .map_err(|error| format!("{name}: {}", rlxc_sys::chain::chain(&*error)))?;
    }
    Ok(())
}

fn ensure(holds: bool, what: impl Into<String>) -> Outcome {
    if holds {
        Ok(())
    } else {
        Err(what.into().into())
    }
}

/// An image with one file.
pub fn fill(dir: &Path) -> Outcome {
    file::create_dir(&dir.join("rootfs"), 0o751)?;
    file::create_dir(&dir.join("templates"), 0o755)?;
    for (name, text) in [
        ("metadata.yaml", "architecture: x86_64\ncreation_date: 1\n"),
        ("rootfs/base", "from the image"),
        ("rootfs/doomed", "to be removed"),
    ] {
        let volatile = file::Durability::Volatile;
        file::write_atomic(&dir.join(name), text.as_bytes(), 0o644, volatile)?;
    }
    Ok(())
}

impl<P: Probe> Subject<'_, P> {
    fn image(&self) -> Outcome {
        Ok(self.driver.create_image(IMAGE, &mut fill)?)
    }

    /// A volume on the image, in which `state` says `text`.
    fn volume(&self, volume: VolumeRef, text: &str) -> Outcome {
        self.image()?;
        let source = Source::Image(IMAGE.to_owned());
        self.driver.create_volume(volume, &source)?;
        self.write(volume, text)
    }

    fn write(&self, volume: VolumeRef, text: &str) -> Outcome {
        let root = self.driver.root(volume)?;
        Ok(self.probe.write(&root, "state", text)?)
    }

    fn expect(&self, root: &RootSource, name: &str, text: Option<&str>) -> Outcome {
        let found = self.probe.read(root, name)?;
        ensure(
            found.as_deref() == text,
            format!("`{name}` is {found:?}, not {text:?}"),
        )
    }

    fn expect_state(&self, volume: VolumeRef, text: &str) -> Outcome {
        self.expect(&self.driver.root(volume)?, "state", Some(text))
    }

    fn expect_snapshot(&self, snapshot: SnapshotId, text: &str) -> Outcome {
        let root = self.driver.snapshot_root(ONE, snapshot)?;
        self.expect(&root, "state", Some(text))?;
        self.expect(&root, "base", Some("from the image"))
    }

    fn clean(&self) -> Outcome {
        let contents = self.driver.list_volumes()?;
        for volume in contents.volumes.keys() {
            self.driver.delete_volume(*volume)?;
        }
        for image in &contents.images {
            self.driver.delete_image(image)?;
        }
        let left = self.driver.list_volumes()?;
        ensure(
            left.images.is_empty() && left.volumes.is_empty(),
            format!("left behind: {left:?}"),
        )
    }

    fn images(&self) -> Outcome {
        ensure(!self.driver.has_image(IMAGE), "an image nobody made")?;
        self.image()?;
        self.driver
            .create_image(IMAGE, &mut |_| Err("filled twice".into()))?;
        ensure(self.driver.has_image(IMAGE), "no image")?;
        ensure(self.driver.list_volumes()?.images == [IMAGE], "not listed")?;
        self.driver.delete_image(IMAGE)?;
        self.driver.delete_image(IMAGE)?;
        ensure(!self.driver.has_image(IMAGE), "image not deleted")
    }

    fn failed_filler(&self) -> Outcome {
        let failed = self.driver.create_image(IMAGE, &mut |dir| {
            fill(dir)?;
            Err("no".into())
        });
        ensure(failed.is_err(), "a failed filler went unnoticed")?;
        ensure(!self.driver.has_image(IMAGE), "half an image stayed")
    }

    fn volumes(&self) -> Outcome {
        self.volume(ONE, "mine")?;
        let root = self.driver.root(ONE)?;
        self.expect(&root, "base", Some("from the image"))?;
        self.probe.remove(&root, "doomed")?;
        self.expect(&root, "doomed", None)?;
        let again = self.driver.create_volume(ONE, &Source::Empty);
        let refused = again.is_err_and(|error| error.is_already_there());
        ensure(refused, "a volume was made twice")?;
        self.expect_state(ONE, "mine")?;
        self.driver.create_volume(TWO, &Source::Empty)?;
        self.write(TWO, "other")?;
        self.expect_state(TWO, "other")?;
        self.driver
            .create_volume(VolumeRef::custom(1), &Source::Empty)?;
        ensure(self.driver.list_volumes()?.volumes.len() == 3, "not listed")?;
        self.driver.volume_usage(ONE)?;
        self.driver.delete_volume(ONE)?;
        self.driver.delete_volume(ONE)?;
        let gone = self.driver.root(ONE);
        let gone = gone.is_err_and(|error| error.is_not_found());
        ensure(gone, "a deleted volume has a root")
    }

    fn missing_things(&self) -> Outcome {
        let nowhere = Source::Image("ffff".into());
        let made = self.driver.create_volume(ONE, &nowhere);
        ensure(
            made.is_err_and(|error| error.is_not_found()),
            "made of nothing",
        )?;
        let nobody = Source::Copy {
            from: TWO,
            snapshot: None,
        };
        let made = self.driver.create_volume(ONE, &nobody);
        ensure(
            made.is_err_and(|error| error.is_not_found()),
            "copied nothing",
        )?;
        self.volume(ONE, "a")?;
        let restored = self.driver.restore_snapshot(ONE, FIRST);
        ensure(
            restored.is_err_and(|error| error.is_not_found()),
            "restored nothing",
        )?;
        self.driver.delete_snapshot(ONE, FIRST)?;
        self.driver.delete_snapshot(TWO, FIRST)?;
        self.expect_state(ONE, "a")
    }

    fn snapshots(&self) -> Outcome {
        self.volume(ONE, "a")?;
        self.driver.create_snapshot(ONE, FIRST, State::Stopped)?;
        let again = self.driver.create_snapshot(ONE, FIRST, State::Stopped);
        let refused = again.is_err_and(|error| error.is_already_there());
        ensure(refused, "a snapshot was made twice")?;
        self.expect_state(ONE, "a")?;
        self.write(ONE, "b")?;
        self.probe.remove(&self.driver.root(ONE)?, "doomed")?;
        self.expect_snapshot(FIRST, "a")?;
        let root = self.driver.snapshot_root(ONE, FIRST)?;
        self.expect(&root, "doomed", Some("to be removed"))?;
        self.driver.create_snapshot(ONE, SECOND, State::Stopped)?;
        self.write(ONE, "c")?;
        self.driver.restore_snapshot(ONE, FIRST)?;
        self.expect_state(ONE, "a")?;
        let root = self.driver.root(ONE)?;
        self.expect(&root, "doomed", Some("to be removed"))?;
        self.driver.restore_snapshot(ONE, SECOND)?;
        self.expect_state(ONE, "b")?;
        self.expect(&self.driver.root(ONE)?, "doomed", None)?;
        let listed = &self.driver.list_volumes()?.volumes[&ONE].snapshots;
        ensure(listed == &[FIRST, SECOND], format!("listed as {listed:?}"))
    }

    fn frozen_snapshots(&self) -> Outcome {
        self.volume(ONE, "a")?;
        self.probe.remove(&self.driver.root(ONE)?, "doomed")?;
        let before = self.driver.root(ONE)?;
        self.driver.create_snapshot(ONE, FIRST, State::Frozen)?;
        ensure(
            self.driver.root(ONE)? == before,
            "the root of a running instance was moved",
        )?;
        self.write(ONE, "b")?;
        self.expect_snapshot(FIRST, "a")?;
        self.driver.restore_snapshot(ONE, FIRST)?;
        self.expect_state(ONE, "a")?;
        self.expect(&self.driver.root(ONE)?, "doomed", None)
    }

    fn delete_in_the_middle(&self) -> Outcome {
        self.volume(ONE, "a")?;
        for (snapshot, next) in [(FIRST, "b"), (SECOND, "c"), (THIRD, "d")] {
            self.driver.create_snapshot(ONE, snapshot, State::Stopped)?;
            self.write(ONE, next)?;
        }
        self.driver.delete_snapshot(ONE, SECOND)?;
        self.driver.delete_snapshot(ONE, SECOND)?;
        self.expect_snapshot(FIRST, "a")?;
        self.expect_snapshot(THIRD, "c")?;
        self.expect_state(ONE, "d")?;
        self.driver.delete_snapshot(ONE, FIRST)?;
        self.expect_snapshot(THIRD, "c")?;
        self.driver.restore_snapshot(ONE, THIRD)?;
        self.driver.delete_snapshot(ONE, THIRD)?;
        self.expect_state(ONE, "c")
    }

    fn copies(&self) -> Outcome {
        self.volume(ONE, "a")?;
        self.driver.create_snapshot(ONE, FIRST, State::Stopped)?;
        self.write(ONE, "b")?;
        let copy = |snapshot| Source::Copy {
            from: ONE,
            snapshot,
        };
        self.driver.create_volume(TWO, &copy(Some(FIRST)))?;
        let third = VolumeRef::container(3);
        self.driver.create_volume(third, &copy(None))?;
        self.write(ONE, "c")?;
        self.expect_state(TWO, "a")?;
        self.expect_state(third, "b")?;
        self.write(third, "d")?;
        self.driver.delete_volume(ONE)?;
        self.expect_state(TWO, "a")?;
        self.expect_state(third, "d")?;
        let root = self.driver.root(third)?;
        self.expect(&root, "base", Some("from the image"))
    }

    fn copies_of_snapshots(&self) -> Outcome {
        self.volume(ONE, "a")?;
        self.driver.create_snapshot(ONE, FIRST, State::Stopped)?;
        self.write(ONE, "b")?;
        let source = Source::Copy {
            from: ONE,
            snapshot: None,
        };
        self.driver.create_volume(TWO, &source)?;
        self.driver.copy_snapshot(TWO, THIRD, (ONE, FIRST))?;
        let again = self.driver.copy_snapshot(TWO, THIRD, (ONE, FIRST));
        let refused = again.is_err_and(|error| error.is_already_there());
        ensure(refused, "a snapshot was made twice")?;
        let nothing = self.driver.copy_snapshot(TWO, SECOND, (ONE, SECOND));
        let refused = nothing.is_err_and(|error| error.is_not_found());
        ensure(refused, "a snapshot that is not there was copied")?;
        self.driver.delete_volume(ONE)?;
        self.expect_state(TWO, "b")?;
        let root = self.driver.snapshot_root(TWO, THIRD)?;
        self.expect(&root, "state", Some("a"))?;
        self.driver.restore_snapshot(TWO, THIRD)?;
        self.expect_state(TWO, "a")
    }

    fn deleted_image(&self) -> Outcome {
        self.volume(ONE, "a")?;
        self.driver.delete_image(IMAGE)?;
        ensure(!self.driver.has_image(IMAGE), "image not deleted")?;
        let root = self.driver.root(ONE)?;
        self.expect(&root, "base", Some("from the image"))?;
        let source = Source::Image(IMAGE.to_owned());
        let made = self.driver.create_volume(TWO, &source);
        ensure(made.is_err(), "a volume was made of a deleted image")?;
        self.image()?;
        self.driver.create_volume(TWO, &source)?;
        self.driver.delete_volume(ONE)?;
        let root = self.driver.root(TWO)?;
        self.expect(&root, "base", Some("from the image"))
    }

    fn many_snapshots(&self) -> Outcome {
        self.volume(ONE, "0")?;
        for number in 1..=40 {
            let root = self.driver.root(ONE)?;
            self.probe.write(&root, &format!("file{number}"), "there")?;
            if number == 5 {
                self.probe.remove(&root, "doomed")?;
                self.probe.remove(&root, "file3")?;
            }
            self.driver
                .create_snapshot(ONE, SnapshotId(number), State::Stopped)?;
            self.write(ONE, &number.to_string())?;
        }
        for number in [1, 4, 31, 33, 40] {
            self.expect_snapshot(SnapshotId(number), &(number - 1).to_string())?;
        }
        let root = self.driver.root(ONE)?;
        self.expect(&root, "doomed", None)?;
        self.expect(&root, "file3", None)?;
        self.expect(&root, "file1", Some("there"))?;
        self.expect(&root, "file40", Some("there"))?;
        self.driver.restore_snapshot(ONE, SnapshotId(4))?;
        let root = self.driver.root(ONE)?;
        self.expect(&root, "file3", Some("there"))?;
        self.expect(&root, "file5", None)
    }
}
