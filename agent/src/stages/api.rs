//! A client of the cluster's API that trusts only the certificate authority in the plan.

use std::io::Read;
use std::time::Duration;

use anyhow::anyhow;
use nkd_contract::{Cause, Plan};
use serde_json::Value;
use ureq::Agent;
use ureq::http::header::AUTHORIZATION;
use ureq::tls::{ClientCert, PemItem, TlsConfig, parse_pem};

use super::{Fault, Node};
use crate::system::{alive, boot_id, tls};

/// The credentials of kubelet: certificates and key in one file (kubelet, `--cert-dir`).
pub(crate) const KUBELET_CREDENTIALS: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";
/// The time limit for one request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait for a change. It is shorter than [`TIMEOUT`].
const WATCH: Duration = Duration::from_secs(5);

/// A client that trusts only the certificate authority in the plan. It keeps its connections for further
/// requests, also for those of its clones.
#[derive(Clone)]
pub(super) struct Api {
    agent: Agent,
    endpoint: String,
    /// A bootstrap token, with which Node objects can be read (kubeadm, `kubeadm:get-nodes`).
    token: Option<String>,
}

/// Why a request has failed.
#[derive(Debug)]
pub(super) enum ApiError {
    /// No server has answered.
    Unreachable(anyhow::Error),
    /// The server does not belong to this cluster.
    Untrusted(anyhow::Error),
    /// The server has answered with this error status.
    Status(u16),
}

impl Api {
    /// A client without credentials.
    pub(super) fn anonymous(plan: &Plan) -> Result<Self, ApiError> {
        Self::new(plan, None)
    }

    /// A client with the credentials of kubelet, or `None` if kubelet has none yet.
    pub(super) fn as_kubelet(node: &Node<'_>) -> Option<Result<Self, ApiError>> {
        let pem = std::fs::read(node.root.path(KUBELET_CREDENTIALS)).ok()?;
        Some(Self::new(node.plan, Some(credentials(&pem)?)))
    }

    /// A client with a bootstrap token.
    pub(super) fn with_token(plan: &Plan, token: &str) -> Result<Self, ApiError> {
        let token = Some(token.to_owned());
        Ok(Self {
            token,
            ..Self::new(plan, None)?
        })
    }

    fn new(plan: &Plan, credentials: Option<ClientCert>) -> Result<Self, ApiError> {
        Ok(Self {
            agent: client(&plan.certificate_authority, credentials)?,
            endpoint: plan.endpoint.clone(),
            token: None,
        })
    }

    /// The same client for another API server of the cluster.
    pub(super) fn at(self, endpoint: &str) -> Self {
        let endpoint = endpoint.to_owned();
        Self { endpoint, ..self }
    }

    /// The same client, without its bootstrap token.
    pub(super) fn without_token(self) -> Self {
        let token = None;
        Self { token, ..self }
    }

    /// The body of a successful answer to a `GET` request.
    pub(super) fn get(&self, path: &str) -> Result<String, ApiError> {
        // The caller may ask several servers in a row that don't answer.
        alive();
        let request = self.agent.get(format!("https://{}{path}", self.endpoint));
        // The connection can only be used again when the answer was read to its end.
        let mut request = request.config().http_status_as_error(false).build();
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let mut answer = request.call()?;
        let body = answer.body_mut().read_to_string();
        if !answer.status().is_success() {
            return Err(ApiError::Status(answer.status().as_u16()));
        }
        Ok(body?)
    }

    /// This node's own Node object.
    pub(super) fn node(&self, name: &str) -> Result<Value, ApiError> {
        let body = self.get(&format!("/api/v1/nodes/{name}"))?;
        serde_json::from_str(&body).map_err(|error| ApiError::Untrusted(error.into()))
    }

    /// Merges a change into a Node object (RFC 7396). A kubelet may only change its own Node object.
    pub(super) fn patch_node(&self, name: &str, change: &Value) -> Result<(), ApiError> {
        let url = format!("https://{}/api/v1/nodes/{name}", self.endpoint);
        self.agent
            .patch(url)
            .content_type("application/merge-patch+json")
            .send(change.to_string())?;
        Ok(())
    }

    /// Returns when a Node object has changed, or after [`WATCH`] (Kubernetes, "API concepts", "Efficient
    /// detection of changes"). A kubelet may only watch its own Node object.
    pub(super) fn wait_for_change(&self, node: &Value) -> Result<(), ApiError> {
        let of = |field: &str| node["metadata"][field].as_str().unwrap_or_default();
        let (name, version) = (of("name"), of("resourceVersion"));
        let seconds = WATCH.as_secs();
        let mut answer = self
            .agent
            .get(format!("https://{}/api/v1/nodes", self.endpoint))
            .query("watch", "true")
            .query("fieldSelector", format!("metadata.name={name}"))
            .query("resourceVersion", version)
            .query("timeoutSeconds", seconds.to_string())
            .call()?;
        // A change is a line; its first byte is enough.
        let mut byte = [0];
        answer
            .body_mut()
            .as_reader()
            .read(&mut byte)
            .map_err(ureq::Error::from)?;
        Ok(())
    }
}

/// The Ready condition of a Node object: `Ok` if it is true, or else the reason.
pub(super) fn readiness(node: &Value) -> Result<(), String> {
    let ready = ready_condition(node).ok_or("kubelet has not reported its condition yet")?;
    if ready["status"] == "True" {
        return Ok(());
    }
    let text = |key: &str| ready[key].as_str().unwrap_or_default().to_owned();
    Err(format!("{}: {}", text("reason"), text("message")))
}

fn ready_condition(node: &Value) -> Option<&Value> {
    let mut conditions = node["status"]["conditions"].as_array()?.iter();
    conditions.find(|condition| condition["type"] == "Ready")
}

/// Whether a kubelet reports the condition of a Node object. 40 seconds after its last report, the controller
/// manager sets the condition to `Unknown`.
pub(super) fn is_reported(node: &Value) -> bool {
    ready_condition(node).is_some_and(|ready| ready["status"] != "Unknown")
}

/// Whether a Node object was last updated by the kubelet of this machine, since its last boot.
pub(super) fn is_of_this_boot(node: &Value) -> bool {
    let boot = boot_id();
    !boot.is_empty() && node["status"]["nodeInfo"]["bootID"] == boot.as_str()
}

/// An HTTPS client that trusts these authorities (PEM) and no others.
pub(super) fn client(
    authorities: &str,
    credentials: Option<ClientCert>,
) -> Result<Agent, ApiError> {
    let roots = tls::roots(Some(authorities));
    let roots = roots.map_err(ApiError::Untrusted)?;
    let tls = TlsConfig::builder()
        .root_certs(roots)
        .client_cert(credentials)
        .build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .https_only(true)
        .proxy(None)
        .max_redirects(0)
        .timeout_global(Some(TIMEOUT));
    Ok(config.build().new_agent())
}

/// The certificates and the key in a PEM text, or `None` if it has no key.
pub(super) fn credentials(pem: &[u8]) -> Option<ClientCert> {
    let (mut chain, mut key) = (Vec::new(), None);
    for item in parse_pem(pem).flatten() {
        match item {
            PemItem::Certificate(certificate) => chain.push(certificate),
            PemItem::PrivateKey(private) => key = Some(private),
            _ => {}
        }
    }
    Some(ClientCert::new_with_certs(&chain, key?))
}

impl From<ureq::Error> for ApiError {
    fn from(error: ureq::Error) -> Self {
        match error {
            ureq::Error::StatusCode(status) => Self::Status(status),
            ureq::Error::Tls(_) | ureq::Error::Rustls(_) => Self::Untrusted(error.into()),
            // A handshake that fails while reading comes as an I/O error around rustls' own.
            ureq::Error::Io(ref io) if io.kind() == std::io::ErrorKind::InvalidData => {
                Self::Untrusted(error.into())
            }
            ureq::Error::Timeout(_) => {
                Self::Unreachable(anyhow!("no answer within {} s", TIMEOUT.as_secs()))
            }
            _ => Self::Unreachable(error.into()),
        }
    }
}

/// The causes with which a stage reports that the API does not answer as expected.
pub(super) struct ApiCauses {
    /// There is no answer.
    pub(super) unreachable: Cause,
    /// The answer is not from this cluster.
    pub(super) untrusted: Cause,
    /// The answer is an error.
    pub(super) not_ready: Cause,
}

impl ApiError {
    /// The fault of a stage after a failed request to an endpoint.
    pub(super) fn fault(self, causes: &ApiCauses, endpoint: &str, question: &str) -> Fault {
        match self {
            Self::Unreachable(error) => {
                Fault::of(causes.unreachable, error).context(format!("cannot reach {endpoint}"))
            }
            Self::Untrusted(error) => Fault::of(causes.untrusted, error)
                .context(format!("{endpoint} is not this cluster's API server")),
            Self::Status(status) => {
                let message = format!("{endpoint} answers {status} to {question}");
                Fault::new(causes.not_ready, message)
            }
        }
    }
}

impl From<ApiError> for anyhow::Error {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Unreachable(error) | ApiError::Untrusted(error) => error,
            ApiError::Status(status) => anyhow!("the API answers {status}"),
        }
    }
}
