//! Images of files, each without one thing.

mod golden;
mod good_image;
mod kubernetes;
mod system;

use nkd_contract::Cause;

use super::report::{Report, Severity};
use good_image::GoodImage;

/// Fails unless the report has this finding and no other.
fn only(report: &Report, severity: Severity, cause: Option<Cause>, message: &str) {
    let findings = report.findings.iter();
    let found: Vec<_> = findings
        .map(|finding| (finding.severity, finding.cause, finding.message.as_str()))
        .collect();
    assert_eq!(found, [(severity, cause, message)]);
    assert!(
        report
            .findings
            .iter()
            .all(|finding| !finding.help.is_empty())
    );
    assert_eq!(report.is_good(), severity != Severity::Error);
}

/// Fails unless a good image has this error, and no other finding, after a change.
fn error(change: impl FnOnce(&GoodImage), cause: impl Into<Option<Cause>>, message: &str) {
    let image = GoodImage::new();
    change(&image);
    only(&image.check(), Severity::Error, cause.into(), message);
}

/// The same with a warning.
fn warning(change: impl FnOnce(&GoodImage), cause: impl Into<Option<Cause>>, message: &str) {
    let image = GoodImage::new();
    change(&image);
    only(&image.check(), Severity::Warning, cause.into(), message);
}

#[test]
fn nothing_is_found_in_a_good_image() {
    let report = GoodImage::new().check();
    assert_eq!(report.to_string(), "0 errors, 0 warnings\n");
}
