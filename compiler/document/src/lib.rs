//! The files that people write. Reads files, parses YAML and JSON in a way that keeps the position of
//! every value, and reports diagnostics that point to these positions and never show secrets.

mod diagnostics;
pub mod input;
pub mod json;
pub mod yaml;

pub use diagnostics::{Code, Diagnostics, Reported, SourceId, Span, Spanned, WarningPolicy, mask};
