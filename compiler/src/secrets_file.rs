//! Reads the secrets file, and compares it with the cluster file.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use nkd_contract::Timestamp;

use crate::failure::Failure;
use crate::pki::own::Chain;
use crate::pki::verify::{self, PartProblem};
use crate::pki::{Secrets, outlives_admin};
use nkd_document::{Code, Diagnostics, Reported};
use nkd_model::{Cluster, OwnKeys};

/// The help for a part that is damaged or that belongs to something else.
const RESTORE: &str =
    "restore the file as nkd wrote it; with new secrets it would be a different cluster";

/// How long before the end of an authority nkd adds a note.
const SOON: Duration = Duration::from_secs(90 * 86_400);

/// New secrets for a cluster.
///
/// # Errors
/// An authority of the user expires too early, or the keys cannot be generated.
pub fn generate(cluster: &Cluster, to: &mut Diagnostics) -> Result<Secrets, Failure> {
    if let Some(own) = &cluster.own_keys.kubernetes
        && !outlives_admin(&own.value)
    {
        let message =
            "this authority expires within one year, before the administrator's certificate";
        return Err(to.report(Code::AuthorityDates, own.span, message).into());
    }
    Ok(Secrets::generate(cluster)?)
}

/// Reads a secrets file. Refuses a file that others can read, as ssh does with keys, because a warning
/// would be read too late.
///
/// # Errors
/// The file cannot be used.
pub fn read(file: &Path, to: &mut Diagnostics) -> Result<Secrets, Reported> {
    let source = to.read(file, None)?;
    let others = |metadata: std::fs::Metadata| {
        metadata.is_file() && metadata.permissions().mode() & 0o066 != 0
    };
    if std::fs::metadata(file).is_ok_and(others) {
        let message = format!("other users can read or change `{}`", file.display());
        return Err(to.report_nowhere(Code::SecretsReadable, message));
    }
    let secrets = Secrets::parse(to.text(source)).map_err(|problem| {
        let message = format!("cannot use `{}`: {problem}", file.display());
        to.report_nowhere(Code::SecretsInvalid, message)
    })?;
    report_problems(file, &secrets, Timestamp::now(), to)?;
    Ok(secrets)
}

/// Reports the problems of the secrets themselves, and fails if there are any.
fn report_problems(
    file: &Path,
    secrets: &Secrets,
    now: Timestamp,
    to: &mut Diagnostics,
) -> Result<(), Reported> {
    let mut result = Ok(());
    for PartProblem { part, problem } in verify::problems(secrets, now) {
        let message = format!("`{}`: `{part}` {}", file.display(), problem.message);
        result = Err(if problem.code == Code::AuthorityDates {
            to.report_nowhere(Code::SecretsExpired, message)
        } else {
            to.report_with_help_nowhere(Code::SecretsInvalid, message, RESTORE)
        });
    }
    result
}

/// Reports authorities that expire before the last bootstrap token, and adds notes about those that
/// expire soon.
pub fn report_ends(secrets: &Secrets, tokens: Duration, now: Timestamp, to: &mut Diagnostics) {
    for (part, pair) in secrets.authorities.each() {
        let end = Chain::read(&pair.public).map_or(0, |chain| chain.valid_until());
        let end = Timestamp::from_unix(u64::try_from(end).unwrap_or(0));
        let left = Duration::from_secs(end.unix().saturating_sub(now.unix()));
        if left < tokens {
            let message = format!(
                "the authority in `{part}` expires at {end}, before bootstrap tokens that are created now"
            );
            let help = "shorten `spec.kubernetes.bootstrapTokens.ttl`; for a new cluster, use an \
                        authority that is valid longer (`spec.pki.validity`)";
            to.report_with_help_nowhere(Code::SecretsExpired, message, help);
        } else if left < SOON {
            let days = left.as_secs() / 86_400;
            to.note(format!(
                "the authority in `{part}` of the secrets file expires in {days} days, at {end}. nkd cannot \
                 renew it: replace the authority (\"Rotate an authority\" in docs/day-2.md) or the cluster before then"
            ));
        }
    }
}

/// Reports where the secrets do not match the cluster file. With other secrets than those of the first
/// compilation, the nodes of a cluster would not trust each other.
pub fn report_mismatches(file: &Path, secrets: &Secrets, cluster: &Cluster, to: &mut Diagnostics) {
    own_keys(file, secrets, &cluster.own_keys, to);
    swapped(file, secrets, &cluster.own_keys, to);
    if cluster.version.needs_rsa_service_account() && !secrets.has_rsa_service_account() {
        let message = format!(
            "the service account key in `{}` is not an RSA key, which Kubernetes {} requires",
            file.display(),
            cluster.version
        );
        to.report_nowhere(Code::SecretsMismatch, message);
    }
    let duration = |seconds| humantime::format_duration(Duration::from_secs(seconds)).to_string();
    let pki = cluster.pki;
    for (what, made, wanted) in [
        (
            "the cluster name",
            secrets.cluster.clone(),
            cluster.name.clone(),
        ),
        (
            "the key algorithm",
            secrets.algorithm.clone(),
            pki.algorithm.name().to_owned(),
        ),
        (
            "the validity",
            duration(secrets.validity_seconds),
            duration(pki.validity.as_secs()),
        ),
    ] {
        if made != wanted {
            let file = file.display();
            let message = format!(
                "`{file}` was made for {what} `{made}`, but the cluster file has `{wanted}`"
            );
            to.report_nowhere(Code::SecretsMismatch, message);
        }
    }
}

/// Checks that the user's own keys are those in the secrets file. Otherwise the file belongs to another
/// cluster.
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
            let message = format!("`{}` was made with a different key", file.display());
            to.report(Code::SecretsMismatch, own.span, message);
        }
    }
}

/// Reports authorities that are stored in the place of another one. The user's own authorities are not
/// checked, because they can have any name.
fn swapped(file: &Path, secrets: &Secrets, own: &OwnKeys, to: &mut Diagnostics) {
    let given = [&own.kubernetes, &own.etcd, &own.front_proxy];
    let authorities = &secrets.authorities;
    let parts = authorities.each().into_iter().zip(given);
    for (((part, _), given), another) in parts.zip(verify::swapped(authorities)) {
        if let (None, Some(name)) = (given, another) {
            let message = format!(
                "`{}`: `{part}.public` is the certificate of a different authority, `{name}`",
                file.display()
            );
            to.report_with_help_nowhere(Code::SecretsInvalid, message, RESTORE);
        }
    }
}
