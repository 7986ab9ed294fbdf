//! New secrets in the place of old ones, where running nodes don't mind.

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nkd_contract::Timestamp;

use super::Secrets;
use super::generate::{admins, random, token};

/// What can be rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The workers' bootstrap token.
    Token,
    /// The administrator's client certificates.
    Admin,
    /// What callbacks' signing keys are derived from.
    CallbackSeed,
}

impl Part {
    /// What doing so means for what runs already.
    pub const fn consequence(self) -> &'static str {
        match self {
            Self::Token => {
                "token: nodes that have joined don't notice. The running cluster doesn't know the \
                 new token: before you boot workers compiled with it, run `kubeadm init phase \
                 bootstrap-token --config` on a control plane with the init node's newly compiled \
                 kubeadm.yaml. The old token works until it expires or `kubeadm token delete` \
                 removes it; files compiled with it are to be compiled anew after that."
            }
            Self::Admin => {
                "admin: compile again for the new kubeconfig; no node's file changes. Kubernetes \
                 can't revoke the old certificate: it stays good until it expires, one year after \
                 its making."
            }
            Self::CallbackSeed => {
                "callback-seed: installed nodes go on signing with keys of the old seed. Receivers \
                 need both seeds until the last of these nodes is installed anew."
            }
        }
    }
}

impl Secrets {
    /// Makes a part anew; everything else stays, the time of making too.
    pub fn rotate(&mut self, part: Part) -> Result<()> {
        match part {
            Part::Token => self.worker_token = token()?,
            Part::Admin => {
                let now = Timestamp::from_unix(Timestamp::now().unix());
                self.admin = admins(&self.authorities.kubernetes, now)?;
            }
            Part::CallbackSeed => {
                self.callback_seed = super::Secret::new(STANDARD.encode(random::<32>()?));
            }
        }
        Ok(())
    }
}
