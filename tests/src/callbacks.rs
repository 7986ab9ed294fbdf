//! Stub.
use crate::teardown::Scope;
use anyhow::Result;
use std::path::Path;
use std::sync::Arc;
/// Stub.
#[derive(Debug)]
pub struct Callbacks {}
impl Callbacks {
    pub(crate) fn listen(_namespace: &Path, _scope: &Arc<Scope>) -> Result<Self> {
        Ok(Self {})
    }
}
