//! `admin doctor`.

use anyhow::Result;
use rlxc_api::{DoctorFinding, DoctorReport, Severity};

use crate::cli::{DoctorArgs, Format};
use crate::context::Context;
use crate::printer::Printer;
use crate::render;

/// Exits with 1 where something keeps instances from running.
pub(crate) async fn run(context: &Context, args: &DoctorArgs) -> Result<u8> {
    let mut report: DoctorReport = context.client.get("/internal/doctor").await?;
    report
        .findings
        .sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let code = u8::from(
        report
            .findings
            .iter()
            .any(|finding| finding.severity == Severity::Error),
    );
    match args.format {
        Format::Json => context.printer.print(&render::json(&report)?)?,
        Format::Yaml => context.printer.print(&render::yaml(&report)?)?,
        _ => context.printer.print(&text(&report.findings, args.all))?,
    }
    Ok(code)
}

fn text(findings: &[DoctorFinding], all: bool) -> String {
    let mut lines = Vec::new();
    let shown = findings
        .iter()
        .filter(|finding| all || finding.severity != Severity::Ok);
    for finding in shown {
        lines.push(format!(
            "{:<8} {} ({})",
            mark(finding.severity),
            finding.title,
            finding.id
        ));
        let parts = [
            ("seen", &finding.detail),
            ("costs", &finding.cost),
            ("mend", &finding.remedy),
        ];
        for (label, text) in parts {
            let labels = std::iter::once(label).chain(std::iter::repeat(""));
            lines.extend(
                text.lines()
                    .zip(labels)
                    .map(|(line, label)| format!("         {label:<6} {line}")),
            );
        }
    }
    let well = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Ok)
        .count();
    lines.push(format!("{well} of {} findings are well.", findings.len()));
    lines.join("\n") + "\n"
}

fn mark(severity: Severity) -> &'static str {
    match severity {
        Severity::Ok => "ok",
        Severity::Notice => "notice",
        Severity::Warning => "warning",
        Severity::Error => "ERROR",
    }
}

/// Says where the doctor is, once something went wrong that it may know of.
pub(crate) fn point_at(printer: &Printer) {
    printer.note("`rlxc admin doctor` tells what this host lacks.");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_says_what_it_costs() {
        let findings = [DoctorFinding {
            id: "quota".into(),
            severity: Severity::Warning,
            title: "no project quotas".into(),
            detail: "/var is mounted without prjquota".into(),
            cost: "limits of size are not kept".into(),
            remedy: "tune2fs -O project\nmount -o prjquota".into(),
        }];
        insta::assert_snapshot!(text(&findings, false), @r"
        warning  no project quotas (quota)
                 seen   /var is mounted without prjquota
                 costs  limits of size are not kept
                 mend   tune2fs -O project
                        mount -o prjquota
        0 of 1 findings are well.
        ");
    }
}
