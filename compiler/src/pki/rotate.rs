//! Replaces secrets that can be changed while nodes run.

use anyhow::Result;
use nkd_contract::Timestamp;

use super::generate::{admins, seed};
use super::own::Chain;
use super::secrets::Secrets;

/// The secrets that can be rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The seed of bootstrap tokens.
    Token,
    /// The administrator's client certificates.
    Admin,
    /// The seed of the keys that sign callbacks.
    CallbackSeed,
}

impl Part {
    /// The consequences for the running cluster.
    pub const fn consequence(self) -> &'static str {
        match self {
            Self::Token => {
                "token: nodes that have joined are not affected. Files of nodes that were compiled before \
                 contain the old tokens: they are of no use once you delete these from the cluster. Compile \
                 again, and give the cluster the new tokens."
            }
            Self::Admin => {
                "admin: compile again to get the new kubeconfig; the files of the nodes do not change. \
                 Kubernetes cannot revoke the old certificate: it is valid until one year after it \
                 was issued."
            }
            Self::CallbackSeed => {
                "callback-seed: installed nodes continue to sign with keys derived from the old seed. \
                 Receivers need both seeds until the last of these nodes is installed again."
            }
        }
    }
}

impl Secrets {
    /// Renews the administrator's certificates after two thirds of their validity. (kubelet renews its
    /// own after 70 to 90 percent.) Returns until when the old certificates are valid, if they were
    /// renewed.
    pub fn renew_admin(&mut self, now: Timestamp) -> Result<Option<Timestamp>> {
        let seconds = i64::try_from(now.unix())?;
        let lives = self.admin.iter().filter_map(|admin| {
            let chain = Chain::read(&admin.pair.public).ok()?;
            Some((chain.valid_from(), chain.valid_until()))
        });
        let due = lives.filter(|(from, until)| seconds >= until - (until - from) / 3);
        let Some(until) = due.map(|(_, until)| until).min() else {
            return Ok(None);
        };
        self.admin = admins(
            &self.authorities.kubernetes,
            Timestamp::from_unix(now.unix()),
        )?;
        Ok(Some(Timestamp::from_unix(
            u64::try_from(until).unwrap_or(0),
        )))
    }

    /// Replaces one part. Everything else stays unchanged, including the time of creation.
    pub fn rotate(&mut self, part: Part) -> Result<()> {
        match part {
            Part::Token => {
                self.token_seed = seed()?;
                self.token_rotations.clear();
            }
            Part::Admin => {
                let now = Timestamp::from_unix(Timestamp::now().unix());
                self.admin = admins(&self.authorities.kubernetes, now)?;
            }
            Part::CallbackSeed => self.callback_seed = seed()?,
        }
        Ok(())
    }

    /// Replaces the bootstrap token of one scope. The tokens of other scopes stay unchanged.
    pub fn rotate_token(&mut self, scope: &str) {
        *self.token_rotations.entry(scope.to_owned()).or_default() += 1;
    }
}
