//! What every process of a container is held by, from the first init to the last command: limits, capabilities,
//! AppArmor, seccomp. Parsed before there is a child, applied in it.

use std::fs;
use std::io;

use rlxc_sys::capability::{self, Capability};
use rlxc_sys::identity::UserIdentity;
use rlxc_sys::process;
use rlxc_sys::seccomp::{self, Instruction, Listener};
use rustix::process::Resource;

use crate::protocol::Failure;
use crate::spec::{ContainerSpec, Interception};

const PHASE: &str = "confinement";

/// A resource, soft and hard; `None` is "unlimited".
type Limit = (Resource, Option<u64>, Option<u64>);

/// Parsed and rendered.
#[derive(Debug, Clone)]
pub(crate) struct Confinement {
    filter: Vec<Instruction>,
    /// The same with calls that it hands over, if there are any.
    intercepting: Option<Vec<Instruction>>,
    dropped: Vec<Capability>,
    limits: Vec<Limit>,
    apparmor: Option<String>,
}

impl Confinement {
    pub(crate) fn parse(spec: &ContainerSpec) -> Result<Self, Failure> {
        let dropped = spec.drop_capabilities.iter().map(|name| {
            Capability::parse(name).ok_or_else(|| refused(format!("no capability `{name}`")))
        });
        let render = |interception: &Interception| {
            crate::seccomp::render(&spec.seccomp, interception)
                .map_err(|error| refused(error.to_string()))
        };
        // The kernel asks root of the host nothing that could be answered better.
        let intercepts = !spec.intercept.is_nothing() && spec.idmap.is_some();
        Ok(Self {
            filter: render(&Interception::default())?,
            intercepting: intercepts.then(|| render(&spec.intercept)).transpose()?,
            dropped: dropped.collect::<Result<_, _>>()?,
            limits: parse_limits(&spec.rlimits)?,
            apparmor: spec.apparmor.clone(),
        })
    }

    /// The same, with all calls left to the kernel.
    pub(crate) fn without_interception(&self) -> Self {
        Self {
            intercepting: None,
            ..self.clone()
        }
    }

    /// Gives init other resource limits, and commands from now on; what is not named any more gets this process's own.
    /// All of them or none. As the `owner` of init's user namespace, who needs no capability of the host's for it.
    pub(crate) fn set_limits(
        &mut self,
        wanted: &[(String, u64, u64)],
        (init, owner): (i32, Option<u32>),
    ) -> Result<(), Failure> {
        let wanted = parse_limits(wanted)?;
        let owner = owner.map(UserIdentity::assume).transpose();
        let _owner = owner.in_phase(PHASE, String::new)?;
        let named = |resource| wanted.iter().any(|(other, ..)| *other == resource);
        let lifted = self.limits.iter().map(|(resource, ..)| *resource);
        let lifted = lifted.filter(|resource| !named(*resource)).map(|resource| {
            let (soft, hard) = process::resource_limit(resource);
            (resource, soft, hard)
        });
        let orders: Vec<Limit> = wanted.iter().copied().chain(lifted).collect();
        let mut before: Vec<Limit> = Vec::new();
        for (resource, soft, hard) in orders {
            match process::change_resource_limit(init, resource, soft, hard) {
                Ok((soft, hard)) => before.push((resource, soft, hard)),
                Err(error) => {
                    for (resource, soft, hard) in before {
                        // What it had it may have again.
                        drop(process::change_resource_limit(init, resource, soft, hard));
                    }
                    return Err(error).in_phase(PHASE, || describe(resource));
                }
            }
        }
        self.limits = wanted;
        Ok(())
    }

    /// Binds the calling process, all but the user it runs as. What it does after must be possible under the filter. What
    /// comes back is the monitor's, which answers the calls that the filter hands over.
    pub(crate) fn apply(&self) -> Result<Option<Listener>, Failure> {
        for (resource, soft, hard) in &self.limits {
            process::set_resource_limit(*resource, *soft, *hard)
                .in_phase(PHASE, || describe(*resource))?;
        }
        for capability in &self.dropped {
            capability::drop_from_bounding_set(*capability)
                .in_phase(PHASE, || format!("drop {capability:?}"))?;
        }
        if let Some(profile) = &self.apparmor {
            // Takes effect with the next exec, see apparmor's aa_change_onexec(2).
            fs::write("/proc/self/attr/exec", format!("exec {profile}"))
                .in_phase(PHASE, || format!("set AppArmor profile `{profile}`"))?;
        }
        if let Some(filter) = &self.intercepting {
            let listener = seccomp::install_with_listener(filter).in_phase(PHASE, || {
                "hand over system calls for `security.syscalls.intercept.*` (in a container whose own are intercepted                  the kernel can't)"
                    .into()
            });
            return listener.map(Some);
        }
        if !self.filter.is_empty() {
            seccomp::install(&self.filter).in_phase(PHASE, || "install seccomp filter".into())?;
        }
        Ok(None)
    }
}

fn parse_limits(rlimits: &[(String, u64, u64)]) -> Result<Vec<Limit>, Failure> {
    let unlimited = |value: u64| (value != u64::MAX).then_some(value);
    let parse = |(name, soft, hard): &(String, u64, u64)| {
        let resource = process::parse_resource(name)
            .ok_or_else(|| refused(format!("no resource limit `{name}`")))?;
        Ok((resource, unlimited(*soft), unlimited(*hard)))
    };
    rlimits.iter().map(parse).collect()
}

/// As users know it. Who may not raise a limit lacks CAP_SYS_RESOURCE on the host; see setrlimit(2).
fn describe(resource: Resource) -> String {
    let name = format!("{resource:?}").to_lowercase();
    format!(
        "set `limits.kernel.{name}` (to raise what is hard, the host must have CAP_SYS_RESOURCE)"
    )
}

fn refused(detail: String) -> Failure {
    Failure {
        phase: PHASE.to_owned(),
        errno: rustix::io::Errno::INVAL.raw_os_error(),
        detail,
    }
}

/// Turns any error into the failure that crosses to the daemon.
pub(crate) trait InPhase<T> {
    /// `what` was being done, for the whole that `phase` names.
    fn in_phase(self, phase: &str, what: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T, E: std::error::Error + 'static> InPhase<T> for Result<T, E> {
    fn in_phase(self, phase: &str, what: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| {
            let (what, chain) = (what(), rlxc_sys::chain::chain(&error));
            Failure {
                phase: phase.to_owned(),
                errno: errno(&error),
                detail: if what.is_empty() {
                    chain.to_string()
                } else {
                    format!("{what}: {chain}")
                },
            }
        })
    }
}

/// The kernel's error at the root of all causes.
pub(crate) fn errno(error: &(dyn std::error::Error + 'static)) -> i32 {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let numbers = causes.filter_map(|cause| {
        let io = cause
            .downcast_ref::<io::Error>()
            .and_then(io::Error::raw_os_error);
        io.or_else(|| {
            let errno = cause.downcast_ref::<rustix::io::Errno>();
            errno.map(|errno| errno.raw_os_error())
        })
    });
    numbers.last().unwrap_or_default()
}
