//! Which words of a command may begin with a remote, `box:` or `box:c1`.

use super::{
    AclRuleVerb, AclVerb, ConfigVerb, DeviceVerb, EntryVerb, FileVerb, ForwardPortVerb,
    ForwardVerb, ImageAliasVerb, ImageVerb, MetadataVerb, NetworkVerb, OperationVerb, ProfileVerb,
    ProjectVerb, RecordVerb, SnapshotVerb, StorageVerb, TemplateVerb, TrustVerb, Verb,
    VolumeSnapshotVerb, VolumeVerb, VolumeWay, WarningVerb, ZoneVerb,
};

/// A word of a command line.
#[derive(Debug)]
pub(crate) struct Word<'a> {
    /// The word.
    pub(crate) text: &'a mut String,
    /// Whether a remote alone will do: `box:` for the server itself, or for all there is.
    pub(crate) may_be_bare: bool,
}

type Words<'a> = Vec<Word<'a>>;

fn one(text: &mut String) -> Words<'_> {
    many(std::slice::from_mut(text))
}

fn many(words: &mut [String]) -> Words<'_> {
    let word = |text| Word {
        text,
        may_be_bare: false,
    };
    words.iter_mut().map(word).collect()
}

fn bare(text: &mut String) -> Words<'_> {
    vec![Word {
        text,
        may_be_bare: true,
    }]
}

impl Verb {
    /// The words that name what the command is about; all on the same remote.
    pub(crate) fn names(&mut self) -> Words<'_> {
        match self {
            Self::Launch(args) => created(&mut args.create),
            Self::Create(args) => created(args),
            Self::List(args) => leading(&mut args.filters),
            Self::Info(args) => optional(&mut args.name),
            Self::Start(args)
            | Self::Stop(args)
            | Self::Restart(args)
            | Self::Pause(args)
            | Self::Resume(args) => many(&mut args.names),
            Self::Delete(args) => many(&mut args.names),
            Self::Rename(args) => renamed(&mut args.name, &mut args.new_name),
            Self::Copy(args) => parted(&mut args.source, args.target.as_mut(), args.to.is_some()),
            Self::Move(args) => parted(&mut args.source, args.target.as_mut(), args.to.is_some()),
            Self::Exec(args) => one(&mut args.name),
            Self::Shell(args) => one(&mut args.name),
            Self::Console(args) => one(&mut args.name),
            Self::File(verb) => verb.names(),
            Self::Snapshot(verb) => verb.names(),
            Self::Restore(args) => one(&mut args.instance),
            Self::Publish(args) => one(&mut args.source),
            Self::Export(args) => one(&mut args.name),
            Self::Import(args) => optional(&mut args.name),
            Self::Rebuild(args) => one(&mut args.name),
            Self::Config(verb) => verb.names(),
            Self::Profile(verb) => verb.names(),
            Self::Project(verb) => verb.names(),
            Self::Image(verb) => verb.names(),
            Self::Network(verb) => verb.names(),
            Self::Storage(verb) => verb.names(),
            Self::Operation(verb) => verb.names(),
            Self::Warning(verb) => verb.names(),
            Self::History(args) => one(&mut args.name),
            Self::Monitor(args) => optional(&mut args.remote),
            Self::Top(args) => optional(&mut args.remote),
            Self::Query(args) => one(&mut args.path),
            Self::Remote(_)
            | Self::Alias(_)
            | Self::Admin(_)
            | Self::Version
            | Self::Completion(_)
            | Self::Manpage(_) => Vec::new(),
        }
    }
}

impl Verb {
    /// Takes another remote off the name of what a copy becomes, and keeps it: the command is about both.
    /// The project that is asked for is worked in on both.
    pub(crate) fn part_ways(&mut self, default: &str, asked: Option<&str>) {
        let (source, target, to, project) = match self {
            Self::Copy(args) => (
                &args.source,
                &mut args.target,
                &mut args.to,
                &mut args.target_project,
            ),
            Self::Move(args) => (
                &args.source,
                &mut args.target,
                &mut args.to,
                &mut args.target_project,
            ),
            Self::Storage(StorageVerb::Volume(VolumeVerb::Copy(args))) => {
                return args
                    .way
                    .part(&args.source, &mut args.target, default, asked);
            }
            Self::Storage(StorageVerb::Volume(VolumeVerb::Move(args))) => {
                return args
                    .way
                    .part(&args.source, &mut args.target, default, asked);
            }
            _ => return,
        };
        let Some(text) = target else { return };
        if let Some((remote, name)) = other_remote(source, text, default) {
            *to = Some(remote);
            *project = project.take().or_else(|| asked.map(str::to_owned));
            *target = Some(name).filter(|name| !name.is_empty());
        }
    }
}

impl VolumeWay {
    /// The same for a custom volume, which always has a name.
    fn part(&mut self, source: &str, target: &mut String, default: &str, asked: Option<&str>) {
        if let Some((remote, name)) = other_remote(source, target, default) {
            self.to = Some(remote);
            self.target_project = self
                .target_project
                .take()
                .or_else(|| asked.map(str::to_owned));
            *target = name;
        }
    }
}

/// The remote of `target` and what is left of it, if it is another than that of `source`.
fn other_remote(source: &str, target: &str, default: &str) -> Option<(String, String)> {
    let (remote, name) = crate::remote::split(target);
    let remote = remote.unwrap_or(default);
    let is_other = crate::remote::split(source).0.unwrap_or(default) != remote;
    is_other.then(|| (remote.to_owned(), name.to_owned()))
}

/// The name that something gets on another server has lost its remote already: see [`Verb::part_ways`].
fn parted<'a>(source: &'a mut String, target: Option<&'a mut String>, ways: bool) -> Words<'a> {
    if ways {
        one(source)
    } else {
        both(source, target)
    }
}

fn optional(word: &mut Option<String>) -> Words<'_> {
    word.as_mut().map_or_else(Vec::new, bare)
}

fn both<'a>(source: &'a mut String, target: Option<&'a mut String>) -> Words<'a> {
    let mut words = one(source);
    words.extend(target.into_iter().flat_map(bare));
    words
}

/// A new name without a remote is on that of the old one.
fn renamed<'a>(name: &'a mut String, new_name: &'a mut String) -> Words<'a> {
    if crate::remote::split(new_name).0.is_some() {
        one(name).into_iter().chain(one(new_name)).collect()
    } else {
        one(name)
    }
}

/// A filter that is nothing but a remote, or begins with one.
fn leading(filters: &mut [String]) -> Words<'_> {
    filters.first_mut().map_or_else(Vec::new, bare)
}

/// The image may be elsewhere.
fn created(args: &mut super::CreateArgs) -> Words<'_> {
    if args.empty && args.name.is_none() {
        return optional(&mut args.image);
    }
    optional(&mut args.name)
}

/// `[INSTANCE] KEY…`: the first word, where it can be one.
fn owner(words: &mut [String]) -> Words<'_> {
    match words {
        [first, _, ..] if !first.contains('=') => bare(first),
        _ => Vec::new(),
    }
}

impl FileVerb {
    fn names(&mut self) -> Words<'_> {
        match self {
            Self::Push(args) => args.paths.last_mut().map_or_else(Vec::new, one),
            Self::Pull(args) => one(&mut args.source),
            Self::Edit(args) => one(&mut args.path),
            Self::Delete(args) => many(&mut args.paths),
            Self::Create(args) => one(&mut args.path),
            Self::Mount(args) => one(&mut args.source),
            Self::Sftp(args) => one(&mut args.instance),
        }
    }
}

impl SnapshotVerb {
    fn names(&mut self) -> Words<'_> {
        one(match self {
            Self::Create(args) => &mut args.instance,
            Self::List(args) => &mut args.instance,
            Self::Restore(args) => &mut args.instance,
            Self::Delete(args) => &mut args.instance,
            Self::Rename(args) => &mut args.instance,
            Self::Show(args) => &mut args.instance,
        })
    }
}

impl ConfigVerb {
    fn names(&mut self) -> Words<'_> {
        match self {
            Self::Get(args) | Self::Unset(args) => owner(&mut args.words),
            Self::Set(args) => owner(&mut args.words),
            Self::Show(args) => optional(&mut args.name),
            Self::Edit(args) => optional(&mut args.name),
            Self::Device(verb) => verb.names(),
            Self::Trust(verb) => verb.names(),
            Self::Metadata(MetadataVerb::Show(args) | MetadataVerb::Edit(args)) => {
                one(&mut args.name)
            }
            Self::Template(TemplateVerb::List(args)) => one(&mut args.name),
            Self::Template(
                TemplateVerb::Show(args)
                | TemplateVerb::Create(args)
                | TemplateVerb::Edit(args)
                | TemplateVerb::Delete(args),
            ) => one(&mut args.name),
        }
    }
}

impl TrustVerb {
    fn names(&mut self) -> Words<'_> {
        match self {
            Self::Add(args) => one(&mut args.name),
            Self::AddCertificate(args) => optional(&mut args.remote),
            Self::List(args) | Self::ListTokens(args) => optional(&mut args.remote),
            Self::Show(args) | Self::Edit(args) | Self::RevokeToken(args) => one(&mut args.name),
            Self::Remove(args) => many(&mut args.names),
        }
    }
}

impl DeviceVerb {
    fn names(&mut self) -> Words<'_> {
        one(match self {
            Self::Add(args) => &mut args.owner,
            Self::Remove(args) => &mut args.owner,
            Self::List(args) | Self::Show(args) => &mut args.owner,
            Self::Get(args) | Self::Unset(args) => &mut args.owner,
            Self::Set(args) => &mut args.owner,
            Self::Override(args) => &mut args.owner,
        })
    }
}

impl ProfileVerb {
    fn names(&mut self) -> Words<'_> {
        match self {
            Self::List(args) => optional(&mut args.list.remote),
            Self::Show(args) | Self::Edit(args) => one(&mut args.name),
            Self::Create(args) => one(&mut args.name),
            Self::Delete(args) => many(&mut args.names),
            Self::Rename(args) | Self::Copy(args) => renamed(&mut args.name, &mut args.new_name),
            Self::Get(args) | Self::Unset(args) => one(&mut args.name),
            Self::Set(args) => one(&mut args.name),
            Self::Add(args) | Self::Remove(args) => one(&mut args.instance),
            Self::Assign(args) => one(&mut args.instance),
            Self::Device(verb) => verb.names(),
        }
    }
}

impl ProjectVerb {
    fn names(&mut self) -> Words<'_> {
        match self {
            Self::List(args) => optional(&mut args.remote),
            Self::GetCurrent(args) => optional(&mut args.remote),
            Self::Show(args) | Self::Edit(args) | Self::Switch(args) => one(&mut args.name),
            Self::Info(args) => one(&mut args.name),
            Self::Rename(args) => renamed(&mut args.name, &mut args.new_name),
            Self::Create(args) => one(&mut args.name),
            Self::Delete(args) => many(&mut args.names),
            Self::Get(args) | Self::Unset(args) => one(&mut args.name),
            Self::Set(args) => one(&mut args.name),
        }
    }
}

impl ImageVerb {
    fn names(&mut self) -> Words<'_> {
        match self {
            Self::List(args) => leading(&mut args.filters),
            Self::Show(args) | Self::Info(args) | Self::Edit(args) => one(&mut args.name),
            Self::Import(args) => {
                let mut words = args.words.iter_mut();
                words
                    .rfind(|word| word.ends_with(':'))
                    .map_or_else(Vec::new, bare)
            }
            // The image may be on another one.
            Self::Copy(args) => bare(&mut args.target),
            Self::GetProperty(args) | Self::UnsetProperty(args) => one(&mut args.name),
            Self::SetProperty(args) => one(&mut args.name),
            Self::Export(args) => one(&mut args.name),
            Self::Build(args) => one(&mut args.release),
            Self::Delete(args) | Self::Refresh(args) => many(&mut args.names),
            Self::Alias(verb) => match verb {
                ImageAliasVerb::List(args) => optional(&mut args.remote),
                ImageAliasVerb::Create(args) => renamed(&mut args.alias, &mut args.image),
                ImageAliasVerb::Delete(args) => many(&mut args.names),
                ImageAliasVerb::Rename(args) => renamed(&mut args.alias, &mut args.new_name),
            },
        }
    }
}

impl NetworkVerb {
    fn names(&mut self) -> Words<'_> {
        match self {
            Self::List(args) => optional(&mut args.list.remote),
            Self::ListAllocations(args) => optional(&mut args.remote),
            Self::Show(args) | Self::Info(args) | Self::Edit(args) => one(&mut args.name),
            Self::ListLeases(args) => one(&mut args.name),
            Self::Create(args) => one(&mut args.name),
            Self::Delete(args) => many(&mut args.names),
            Self::Rename(args) => renamed(&mut args.name, &mut args.new_name),
            Self::Get(args) | Self::Unset(args) => one(&mut args.name),
            Self::Set(args) => one(&mut args.name),
            Self::Attach(args) | Self::AttachProfile(args) => one(&mut args.network),
            Self::Detach(args) | Self::DetachProfile(args) => one(&mut args.network),
            Self::Acl(verb) => verb.names(),
            Self::Forward(verb) => verb.names(),
            Self::Zone(verb) => verb.names(),
        }
    }
}

impl AclVerb {
    fn names(&mut self) -> Words<'_> {
        match self {
            Self::List(args) => optional(&mut args.list.remote),
            Self::ShowLog(args) | Self::Show(args) | Self::Edit(args) => one(&mut args.name),
            Self::Create(args) => one(&mut args.of.name),
            Self::Delete(args) => many(&mut args.names),
            Self::Rename(args) => renamed(&mut args.name, &mut args.new_name),
            Self::Get(args) | Self::Unset(args) => one(&mut args.name),
            Self::Set(args) => one(&mut args.name),
            Self::Rule(AclRuleVerb::Add(args)) => one(&mut args.name),
            Self::Rule(AclRuleVerb::Remove(args)) => one(&mut args.rule.name),
        }
    }
}

impl ForwardVerb {
    fn names(&mut self) -> Words<'_> {
        match self {
            Self::List(args) => one(&mut args.network),
            Self::Show(args) | Self::Delete(args) | Self::Edit(args) => one(&mut args.network),
            Self::Create(args) => one(&mut args.of.network),
            Self::Get(args) | Self::Unset(args) => one(&mut args.of.network),
            Self::Set(args) => one(&mut args.of.network),
            Self::Port(ForwardPortVerb::Add(args)) => one(&mut args.forward.network),
            Self::Port(ForwardPortVerb::Remove(args)) => one(&mut args.forward.network),
        }
    }
}

impl ZoneVerb {
    fn names(&mut self) -> Words<'_> {
        match self {
            Self::List(args) => optional(&mut args.list.remote),
            Self::Show(args) | Self::Edit(args) => one(&mut args.name),
            Self::Create(args) => one(&mut args.of.name),
            Self::Delete(args) => many(&mut args.names),
            Self::Get(args) | Self::Unset(args) => one(&mut args.name),
            Self::Set(args) => one(&mut args.name),
            Self::Record(verb) => one(verb.zone()),
        }
    }
}

impl RecordVerb {
    fn zone(&mut self) -> &mut String {
        match self {
            Self::List(args) => &mut args.zone,
            Self::Show(args) | Self::Delete(args) | Self::Edit(args) => &mut args.zone,
            Self::Create(args) => &mut args.of.zone,
            Self::Get(args) | Self::Unset(args) => &mut args.of.zone,
            Self::Set(args) => &mut args.of.zone,
            Self::Entry(EntryVerb::Add(args)) => &mut args.entry.record.zone,
            Self::Entry(EntryVerb::Remove(args)) => &mut args.record.zone,
        }
    }
}

impl StorageVerb {
    fn names(&mut self) -> Words<'_> {
        match self {
            Self::List(args) => optional(&mut args.remote),
            Self::Show(args) | Self::Info(args) | Self::Edit(args) => one(&mut args.name),
            Self::Create(args) => one(&mut args.name),
            Self::Delete(args) => many(&mut args.names),
            Self::Get(args) | Self::Unset(args) => one(&mut args.name),
            Self::Set(args) => one(&mut args.name),
            Self::Volume(verb) => verb.names(),
        }
    }
}

impl VolumeVerb {
    fn names(&mut self) -> Words<'_> {
        one(match self {
            Self::List(args) => &mut args.pool,
            Self::Show(args) | Self::Info(args) | Self::Edit(args) | Self::Delete(args) => {
                &mut args.pool
            }
            Self::Create(args) => &mut args.pool,
            Self::Get(args) | Self::Unset(args) => &mut args.of.pool,
            Self::Set(args) => &mut args.of.pool,
            Self::Rename(args) => &mut args.pool,
            Self::Copy(args) => {
                return parted(
                    &mut args.source,
                    Some(&mut args.target),
                    args.way.to.is_some(),
                );
            }
            Self::Move(args) => {
                return parted(
                    &mut args.source,
                    Some(&mut args.target),
                    args.way.to.is_some(),
                );
            }
            Self::Attach(args) | Self::AttachProfile(args) => &mut args.pool,
            Self::Detach(args) | Self::DetachProfile(args) => &mut args.pool,
            Self::Restore(args) => &mut args.pool,
            Self::Export(args) => &mut args.pool,
            Self::Import(args) => &mut args.pool,
            Self::Snapshot(verb) => match verb {
                VolumeSnapshotVerb::Create(args) => &mut args.pool,
                VolumeSnapshotVerb::List(args) => &mut args.pool,
                VolumeSnapshotVerb::Rename(args) => &mut args.pool,
                VolumeSnapshotVerb::Show(args)
                | VolumeSnapshotVerb::Delete(args)
                | VolumeSnapshotVerb::Restore(args) => &mut args.pool,
            },
        })
    }
}

impl OperationVerb {
    fn names(&mut self) -> Words<'_> {
        match self {
            Self::List(args) => optional(&mut args.remote),
            Self::Show(args) | Self::Delete(args) | Self::Wait(args) => one(&mut args.name),
        }
    }
}

impl WarningVerb {
    fn names(&mut self) -> Words<'_> {
        match self {
            Self::List(args) => optional(&mut args.remote),
            Self::Show(args) | Self::Acknowledge(args) => one(&mut args.name),
            Self::Delete(args) => {
                let word = if args.all { bare } else { one };
                args.uuids.iter_mut().flat_map(word).collect()
            }
        }
    }
}
