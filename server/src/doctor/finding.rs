//! How findings are written down. Pure.

use rlxc_api::{DoctorFinding, Severity};

/// Something is as it should be.
pub(super) fn fine(id: &str, title: &str, detail: impl Into<String>) -> DoctorFinding {
    DoctorFinding {
        id: id.to_owned(),
        severity: Severity::Ok,
        title: title.to_owned(),
        detail: detail.into(),
        ..DoctorFinding::default()
    }
}

/// Something is not; what it costs and how to mend it follow by [`Described`].
pub(super) fn flaw(
    severity: Severity,
    id: &str,
    title: &str,
    detail: impl Into<String>,
) -> DoctorFinding {
    DoctorFinding {
        severity,
        ..fine(id, title, detail)
    }
}

/// The rest of a finding.
pub(super) trait Described {
    fn costs(self, cost: impl Into<String>) -> Self;
    fn mend(self, remedy: impl Into<String>) -> Self;
}

impl Described for DoctorFinding {
    fn costs(mut self, cost: impl Into<String>) -> Self {
        self.cost = cost.into();
        self
    }

    fn mend(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }
}

/// Fine if `holds`; else the flaw.
pub(super) fn check(holds: bool, good: DoctorFinding, bad: DoctorFinding) -> DoctorFinding {
    if holds { good } else { bad }
}
