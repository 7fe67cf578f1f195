//! Reads a backup as it comes. Nothing in it is trusted: see [`crate::image::writer`].

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rlxc_sys::file;
use rlxc_sys::idmap::IdMap;
use rlxc_sys::path;

use super::index::{BackupIndex, Layout};
use super::owners;
use crate::image::archive::{Archive, Entry, Kind};
use crate::image::compression::Decompressed;
use crate::image::unpack::refused;
use crate::image::writer::{TreeWriter, checked_path};
use crate::image::{ImageError, UnpackLimits};

/// For errors: the archive has no path of its own.
const NAME: &str = "backup";
/// Bytes between two calls of a progress function.
const PROGRESS_STEP: u64 = 1 << 20;

/// A part of a backup.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tree {
    /// What the instance or volume was.
    Main,
    /// What a snapshot of it was, by name.
    Snapshot(String),
}

/// Where a part goes.
#[derive(Debug)]
pub struct Place {
    /// The empty root directory.
    pub root: OwnedFd,
    /// The directory for `metadata.yaml` and `templates/`, which is empty too.
    pub dir: PathBuf,
}

/// Takes the parts of a backup, one after the other.
pub trait Trees {
    /// Makes room for a part.
    fn begin(&mut self, tree: &Tree) -> Result<Place, ImageError>;
    /// Keeps what was put there.
    fn end(&mut self, tree: &Tree) -> Result<(), ImageError>;
    /// Makes a part, all of it, of a stream in a driver's format.
    fn receive(&mut self, tree: &Tree, stream: &mut dyn Read) -> Result<(), ImageError>;
}

/// A backup whose index was read.
#[derive(Debug)]
pub struct BackupReader {
    archive: Archive<Decompressed>,
    index: BackupIndex,
    shifted: BTreeMap<Tree, IdMap>,
}

impl BackupReader {
    /// Reads the index, which comes first. The archive may have at most `limit` bytes, decompressed.
    pub fn open(stream: impl Read + Send + 'static, limit: u64) -> Result<Self, ImageError> {
        let name = Path::new(NAME);
        let mut archive = Archive::new(Decompressed::of_stream(stream, name)?, name, limit);
        while let Some(entry) = archive.next_entry()? {
            let path = checked_path(&entry.path)?;
            if path == Path::new("backup/index.yaml") && entry.kind == Kind::File(None) {
                let index = BackupIndex::parse(&archive.read_all()?)?;
                return Ok(Self {
                    archive,
                    index,
                    shifted: BTreeMap::new(),
                });
            }
            if entry.kind != Kind::Directory {
                return Err(refused(&entry, "`backup/index.yaml` must come before it"));
            }
        }
        Err(ImageError::Missing {
            what: "backup/index.yaml",
        })
    }

    /// What the backup says is in it.
    pub fn index(&self) -> &BackupIndex {
        &self.index
    }

    /// Says whose ids the files of a part have, so that they are unpacked as the instance sees them. Parts of which nothing
    /// is said have them so.
    pub fn unshift(&mut self, tree: Tree, map: IdMap) {
        self.shifted.insert(tree, map);
    }

    /// Puts the parts where `trees` says. All that the index names must be there, and nothing else.
    pub fn unpack(
        self,
        trees: &mut dyn Trees,
        limits: UnpackLimits,
        progress: &dyn Fn(u64),
    ) -> Result<(), ImageError> {
        let names = self.index.snapshots.iter().cloned().map(Tree::Snapshot);
        let mut unpacking = Unpacking {
            layout: self.index.layout(),
            optimized: self.index.optimized,
            archive: self.archive,
            shifted: self.shifted,
            missing: names.chain([Tree::Main]).collect(),
            current: None,
            trees,
        };
        let (mut entries, mut told) = (0, 0);
        while let Some(entry) = unpacking.archive.next_entry()? {
            entries += 1;
            if entries > limits.max_entries {
                return Err(ImageError::TooBig {
                    limit: limits.max_entries,
                    unit: "files",
                });
            }
            unpacking.entry(entry)?;
            let taken = unpacking.archive.reader().taken();
            if taken - told >= PROGRESS_STEP {
                told = taken;
                progress(taken);
            }
        }
        unpacking.finish_current()?;
        if unpacking.missing.is_empty() {
            return Ok(());
        }
        Err(ImageError::Missing {
            what: "part that its index names",
        })
    }
}

struct Current {
    layout: Layout,
    shifted: Option<IdMap>,
    tree: Tree,
    dir: PathBuf,
    prefix: PathBuf,
    rootfs: TreeWriter,
    templates: Option<TreeWriter>,
    has_rootfs: bool,
}

struct Unpacking<'a> {
    layout: Layout,
    optimized: bool,
    archive: Archive<Decompressed>,
    shifted: BTreeMap<Tree, IdMap>,
    missing: BTreeSet<Tree>,
    current: Option<Current>,
    trees: &'a mut dyn Trees,
}

impl Unpacking<'_> {
    fn entry(&mut self, entry: Entry) -> Result<(), ImageError> {
        let path = checked_path(&entry.path)?;
        if self.optimized && entry.kind != Kind::Directory {
            return self.stream(&path, &entry);
        }
        let Some((tree, prefix)) = place(self.layout, &path) else {
            if entry.kind == Kind::Directory {
                return Ok(());
            }
            return Err(refused(&entry, why_not(&path)));
        };
        if self.current.as_ref().is_none_or(|open| open.tree != tree) {
            self.finish_current()?;
            self.begin(tree, prefix, &entry)?;
        }
        let Some(current) = &mut self.current else {
            return Ok(());
        };
        let inner = path
            .strip_prefix(&current.prefix)
            .unwrap_or(&path)
            .to_owned();
        current.put(&inner, entry, &mut self.archive)
    }

    /// A part in the format of a driver. The header that LXD puts before them names subvolumes in subvolumes, each of which
    /// would be a part of its own.
    fn stream(&mut self, path: &Path, entry: &Entry) -> Result<(), ImageError> {
        if path == Path::new("backup/optimized_header.yaml") {
            return Ok(());
        }
        let tree = stream_of(self.layout, path).filter(|_| entry.kind == Kind::File(None));
        let tree = tree.ok_or_else(|| refused(entry, why_not(path)))?;
        self.expect(&tree, entry)?;
        self.trees.receive(&tree, &mut Data(&mut self.archive))
    }

    fn expect(&mut self, tree: &Tree, entry: &Entry) -> Result<(), ImageError> {
        if self.missing.remove(tree) {
            return Ok(());
        }
        let reason = "its part is not in the index, or comes twice";
        Err(refused(entry, reason))
    }

    fn begin(&mut self, tree: Tree, prefix: PathBuf, entry: &Entry) -> Result<(), ImageError> {
        self.expect(&tree, entry)?;
        let place = self.trees.begin(&tree)?;
        self.current = Some(Current {
            layout: self.layout,
            shifted: self.shifted.remove(&tree),
            tree,
            dir: place.dir,
            prefix,
            rootfs: TreeWriter::of_backup(place.root),
            templates: None,
            has_rootfs: false,
        });
        Ok(())
    }

    fn finish_current(&mut self) -> Result<(), ImageError> {
        let Some(current) = self.current.take() else {
            return Ok(());
        };
        if !current.has_rootfs {
            return Err(ImageError::Missing { what: "rootfs" });
        }
        current.rootfs.finish()?;
        if let Some(templates) = current.templates {
            templates.finish()?;
        }
        self.trees.end(&current.tree)
    }
}

impl Current {
    fn put(
        &mut self,
        path: &Path,
        mut entry: Entry,
        archive: &mut Archive<Decompressed>,
    ) -> Result<(), ImageError> {
        let root = self.layout.root(Path::new(""));
        if let Ok(inner) = path.strip_prefix(&root) {
            self.has_rootfs = true;
            if let Some(map) = &self.shifted {
                owners::as_seen(&mut entry.attributes, map);
            }
            let link = match &entry.kind {
                Kind::HardLink(target) => Some(self.link(target, &entry)?),
                _ => None,
            };
            return self.rootfs.put(inner, entry, link.as_deref(), archive);
        }
        if path == Path::new("metadata.yaml") {
            if entry.kind != Kind::File(None) {
                return Err(refused(&entry, "it must be a plain file"));
            }
            let text = archive.read_all()?;
            let target = self.dir.join("metadata.yaml");
            file::write_atomic(&target, &text, 0o644, file::Durability::Volatile)?;
            return Ok(());
        }
        let Ok(inner) = path.strip_prefix("templates") else {
            // `backup.yaml` says what the index says; the rest is of drivers of others.
            return Ok(());
        };
        if !entry.make_template() {
            return Err(refused(&entry, "templates are plain files and directories"));
        }
        self.templates()?.put(inner, entry, None, archive)
    }

    fn link(&self, target: &[u8], entry: &Entry) -> Result<PathBuf, ImageError> {
        let root = self.layout.root(&self.prefix);
        let inside = checked_path(target)?.strip_prefix(root).map(Path::to_owned);
        inside.map_err(|_outside| refused(entry, "it links to something outside"))
    }

    fn templates(&mut self) -> Result<&mut TreeWriter, ImageError> {
        if self.templates.is_none() {
            let dir = self.dir.join("templates");
            file::ensure_dir(&dir, 0o755)?;
            self.templates = Some(TreeWriter::of_backup(path::open_dir(&dir)?));
        }
        self.templates
            .as_mut()
            .ok_or(ImageError::Missing { what: "templates" })
    }
}

/// Which part an entry belongs to, and how its path begins.
fn place(layout: Layout, path: &Path) -> Option<(Tree, PathBuf)> {
    // The directory of a part of an instance says nothing; that of a volume is its root.
    let is_inside = |inner: &Path| layout == Layout::Volume || inner != Path::new("");
    if let Ok(inner) = path.strip_prefix(layout.main()) {
        return is_inside(inner).then(|| (Tree::Main, layout.main().to_owned()));
    }
    let mut parts = path.strip_prefix(layout.snapshots()).ok()?.iter();
    let name = parts.next()?.to_str()?.to_owned();
    let part = layout.snapshots().join(&name);
    is_inside(parts.as_path()).then_some((Tree::Snapshot(name), part))
}

/// Which part a file is the stream of.
fn stream_of(layout: Layout, path: &Path) -> Option<Tree> {
    if path == layout.main().with_extension("bin") {
        return Some(Tree::Main);
    }
    let name = path.strip_prefix(layout.snapshots()).ok()?.to_str()?;
    let name = name
        .strip_suffix(".bin")
        .filter(|name| !name.contains('/'))?;
    Some(Tree::Snapshot(name.to_owned()))
}

/// The data of the current entry.
struct Data<'a>(&'a mut Archive<Decompressed>);

impl Read for Data<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read_data(buffer).map_err(std::io::Error::other)
    }
}

fn why_not(path: &Path) -> &'static str {
    if path.extension().is_some_and(|extension| extension == "bin") {
        return "it is in the format of a storage driver: export it without `--optimized-storage`";
    }
    if path.starts_with("backup/virtual-machine") {
        return "it is of a virtual machine: rlxc runs containers";
    }
    "it does not belong into such a backup"
}
