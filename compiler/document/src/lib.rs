//! What a person writes: files read once, YAML and JSON whose every value has its place, and diagnostics
//! that point there and keep secrets to themselves.

mod diagnostics;
pub mod input;
pub mod json;
pub mod yaml;

pub use diagnostics::{Code, Diagnostics, Reported, SourceId, Span, Spanned, mask};
