use nkd_document::{Code, Diagnostics, Span};
use nkd_model::version::Version;

use crate::releases;

/// Reports a name in an overlay document that is not in the data of the releases. For a version that is newer than
/// the data this is a warning, because Kubernetes may have added the name.
pub(super) fn report(
    version: Version,
    code: Code,
    span: Span,
    message: &str,
    help: &str,
    to: &mut Diagnostics,
) {
    if releases::is_newer(version) {
        let newest = releases::newest();
        let warning = format!(
            "{message} (not in Kubernetes 1.{newest}, the newest release that nkd has data for)"
        );
        to.warn(code, span, warning);
    } else {
        to.report_with_help(code, span, message, help);
    }
}
