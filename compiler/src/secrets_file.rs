//! The secrets file as input: read, and held against the cluster file.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::cluster_file::domain::{Cluster, OwnKeys};
use crate::diagnostics::{Code, Diagnostics};
use crate::pki::{Secrets, outlives_admin};

/// New secrets for a cluster, unless an authority of its own ends too early.
pub fn generate(cluster: &Cluster, to: &mut Diagnostics) -> Result<Option<Secrets>> {
    if let Some(own) = &cluster.own_keys.kubernetes
        && !outlives_admin(&own.value)
    {
        let message = "this ends before the administrator's certificate would, in one year";
        to.report(Code::AuthorityDates, own.span, message);
        return Ok(None);
    }
    Secrets::generate(cluster).map(Some)
}

/// Reads a secrets file. One that others can read is refused, as ssh does with keys: a warning
/// would be read too late.
pub fn read(file: &Path, to: &mut Diagnostics) -> Option<Secrets> {
    let source = to.read(file, None)?;
    let others = |it: std::fs::Metadata| it.is_file() && it.permissions().mode() & 0o066 != 0;
    if std::fs::metadata(file).is_ok_and(others) {
        let message = format!(
            "others than its owner can read or change {}",
            file.display()
        );
        to.report_nowhere(Code::SecretsReadable, message);
        return None;
    }
    match Secrets::parse(to.text(source)) {
        Ok(secrets) => Some(secrets),
        Err(problem) => {
            let message = format!("{} can't be used: {problem}", file.display());
            to.report_nowhere(Code::SecretsInvalid, message);
            None
        }
    }
}

/// Reports what doesn't fit the cluster file: with other secrets than it began with, a cluster's
/// nodes no longer know each other.
pub fn report_mismatches(file: &Path, secrets: &Secrets, cluster: &Cluster, to: &mut Diagnostics) {
    own_keys(file, secrets, &cluster.own_keys, to);
    if cluster.version.needs_rsa_service_account() && !secrets.has_rsa_service_account() {
        let message = format!(
            "{} has a service account key that Kubernetes {} doesn't take: before 1.26 it is RSA",
            file.display(),
            cluster.version
        );
        to.report_nowhere(Code::SecretsMismatch, message);
    }
    let duration = |seconds| humantime::format_duration(Duration::from_secs(seconds)).to_string();
    let pki = cluster.pki;
    for (what, made, wanted) in [
        ("the cluster", secrets.cluster.clone(), cluster.name.clone()),
        (
            "keys of",
            secrets.algorithm.clone(),
            pki.algorithm.name().to_owned(),
        ),
        (
            "a validity of",
            duration(secrets.validity_seconds),
            duration(pki.validity.as_secs()),
        ),
    ] {
        if made != wanted {
            let file = file.display();
            let message =
                format!("{file} was made for {what} {made}, the cluster file says {wanted}");
            to.report_nowhere(Code::SecretsMismatch, message);
        }
    }
}

/// The user's own keys are those of the secrets, or it is another cluster.
fn own_keys(file: &Path, secrets: &Secrets, own: &OwnKeys, to: &mut Diagnostics) {
    let authorities = &secrets.authorities;
    for (made, own) in [
        (&authorities.kubernetes, &own.kubernetes),
        (&authorities.etcd, &own.etcd),
        (&authorities.front_proxy, &own.front_proxy),
        (&secrets.service_account, &own.service_account),
    ] {
        if let Some(own) = own
            && own.value != *made
        {
            let message = format!("{} was made with another key than this", file.display());
            to.report(Code::SecretsMismatch, own.span, message);
        }
    }
}
