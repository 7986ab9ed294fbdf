use std::time::Duration;

use anyhow::{Context, bail};
use nkd_contract::callback::{
    CloudEvent, ID_HEADER, SIGNATURE_HEADER, SigningKey, TIMESTAMP_HEADER,
};
use nkd_contract::{Event, ReportTarget, Timestamp};
use ureq::config::Config;
use ureq::http::{Response, StatusCode, Uri, header::RETRY_AFTER};
use ureq::tls::TlsConfig;
use ureq::{Agent, Body};

use crate::system::tls;

/// The time limit for connecting.
const CONNECT: Duration = Duration::from_secs(10);
/// The time limit for a whole callback.
const WHOLE: Duration = Duration::from_secs(30);
/// The number of bytes of an answer that are read. Only the beginning is shown to people.
const ANSWER: u64 = 4096;
/// The number of characters of a refusal that are written to the journal.
const EXCERPT: usize = 200;

/// Sends events to the receiver.
#[derive(Debug)]
pub(super) struct Delivery {
    agent: Agent,
    url: Uri,
    key: SigningKey,
}

/// The outcome of sending an event once.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// The receiver has accepted it.
    Accepted,
    /// Another attempt may succeed.
    Later {
        /// The reason.
        reason: String,
        /// The time for which the receiver has asked (`Retry-After`).
        retry_after: Option<Duration>,
    },
    /// The receiver has refused this event.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The beginning of the answer.
        answer: String,
    },
    /// The receiver refuses all further events (410).
    Gone,
}

impl Delivery {
    /// A client for a target.
    ///
    /// # Errors
    /// The target cannot be used. The error does not contain the key.
    pub(super) fn new(target: &ReportTarget) -> anyhow::Result<Self> {
        let key: SigningKey = target.signing_key.parse()?;
        let url: Uri = target.url.parse().context("the URL")?;
        if !matches!(url.scheme_str(), Some("http" | "https")) {
            bail!("the URL is neither http nor https");
        }
        let roots = tls::roots(target.certificate_authority.as_deref())?;
        let config = Config::builder()
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(WHOLE))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            // The receiver is the operator's: nothing is sent past a proxy somebody set for pulls.
            .proxy(None)
            .user_agent(concat!("nkd-agent/", env!("CARGO_PKG_VERSION")))
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .build();
        Ok(Self {
            agent: config.new_agent(),
            url,
            key,
        })
    }

    /// The host to which events are sent. The whole URL is not shown, because it may contain a password
    /// or a token.
    pub(super) fn host(&self) -> &str {
        self.url.host().unwrap_or_default()
    }

    /// Sends an event once.
    pub(super) fn send(&self, event: &Event) -> Sent {
        // Maps with keys that aren't strings are all that JSON can't hold.
        let Ok(body) = serde_json::to_vec(&CloudEvent::new(event)) else {
            return Sent::Refused {
                status: 0,
                answer: "the event cannot be written as JSON".to_owned(),
            };
        };
        let timestamp = Timestamp::now().unix();
        let response = self
            .agent
            .post(&self.url)
            .content_type(CloudEvent::CONTENT_TYPE)
            .header(ID_HEADER, &event.id)
            .header(TIMESTAMP_HEADER, timestamp.to_string())
            .header(SIGNATURE_HEADER, self.key.sign(&event.id, timestamp, &body))
            .send(&body);
        match response {
            Ok(response) => judge(response),
            Err(error) => Sent::Later {
                reason: error.to_string(),
                retry_after: None,
            },
        }
    }
}

/// The outcome that an answer stands for.
fn judge(mut response: Response<Body>) -> Sent {
    let status = response.status();
    let retry_after = retry_after(&response);
    // Read also when it doesn't matter: only then can the connection be used again.
    let answer = response
        .body_mut()
        .with_config()
        .limit(ANSWER)
        .lossy_utf8(true)
        .read_to_string()
        .unwrap_or_default();
    if status.is_success() {
        Sent::Accepted
    } else if status == StatusCode::GONE {
        Sent::Gone
    } else if is_transient(status) {
        Sent::Later {
            reason: status.to_string(),
            retry_after,
        }
    } else {
        Sent::Refused {
            status: status.as_u16(),
            answer: excerpt(&answer),
        }
    }
}

fn is_transient(status: StatusCode) -> bool {
    status.is_server_error()
        || status == StatusCode::REQUEST_TIMEOUT
        || status == StatusCode::TOO_MANY_REQUESTS
}

/// `Retry-After` in seconds. A date in it is ignored, because dates are rare, and the clock may be wrong
/// at first boot.
fn retry_after(response: &Response<Body>) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

/// The beginning of an answer as one line without control characters.
fn excerpt(answer: &str) -> String {
    answer
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .filter(|c| !c.is_control())
        .take(EXCERPT)
        .collect()
}
