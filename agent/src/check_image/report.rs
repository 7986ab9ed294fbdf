//! What the checks have found, as text and as JSON.

use std::fmt;

use nkd_contract::Cause;
use serde::Serialize;
use serde::ser::{SerializeStruct as _, Serializer};

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Severity {
    /// A machine with this image does not become a node.
    Error,
    /// A machine with this image does not become a node of some clusters.
    Warning,
    /// Something that cannot be seen in the image.
    NotChecked,
}

/// One finding.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    /// The cause that nkd-agent would report on a node. Without its own parts, nkd-agent reports nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cause: Option<Cause>,
    pub(super) message: String,
    /// What a person can do about it.
    pub(super) help: String,
}

/// All findings, in the order of the checks.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) findings: Vec<Finding>,
}

impl Report {
    pub(super) fn error(
        &mut self,
        cause: impl Into<Option<Cause>>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.add(Severity::Error, cause.into(), message, help);
    }

    pub(super) fn warning(
        &mut self,
        cause: impl Into<Option<Cause>>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.add(Severity::Warning, cause.into(), message, help);
    }

    pub(super) fn not_checked(&mut self, message: impl Into<String>, help: impl Into<String>) {
        self.add(Severity::NotChecked, None, message, help);
    }

    pub(super) fn add(
        &mut self,
        severity: Severity,
        cause: Option<Cause>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.findings.push(Finding {
            severity,
            cause,
            message: message.into(),
            help: help.into(),
        });
    }

    /// Whether there are no errors.
    pub(super) fn is_good(&self) -> bool {
        self.count(Severity::Error) == 0
    }

    fn count(&self, severity: Severity) -> usize {
        let findings = self.findings.iter();
        findings
            .filter(|finding| finding.severity == severity)
            .count()
    }

    /// The findings, those that matter most first.
    fn sorted(&self) -> Vec<&Finding> {
        let mut sorted: Vec<_> = self.findings.iter().collect();
        sorted.sort_by_key(|finding| finding.severity);
        sorted
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut report = serializer.serialize_struct("Report", 3)?;
        report.serialize_field("errors", &self.count(Severity::Error))?;
        report.serialize_field("warnings", &self.count(Severity::Warning))?;
        report.serialize_field("findings", &self.sorted())?;
        report.end()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in self.sorted() {
            let severity = match finding.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::NotChecked => "not checked",
            };
            write!(f, "{severity}")?;
            if let Some(cause) = finding.cause {
                write!(f, "[{cause}]")?;
            }
            writeln!(f, ": {}\n  help: {}\n", finding.message, finding.help)?;
        }
        let counted = |severity, name: &str| match self.count(severity) {
            1 => format!("1 {name}"),
            count => format!("{count} {name}s"),
        };
        let errors = counted(Severity::Error, "error");
        let warnings = counted(Severity::Warning, "warning");
        writeln!(f, "{errors}, {warnings}")
    }
}
