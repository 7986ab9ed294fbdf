use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nkd_contract::callback::{
    CloudEvent, ID_HEADER, SIGNATURE_HEADER, SigningKey, TIMESTAMP_HEADER,
};
use nkd_contract::{Event, ReportTarget, Timestamp};
use percent_encoding::percent_decode_str;
use ureq::config::Config;
use ureq::http::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER};
use ureq::http::{Response, StatusCode, Uri};
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
    authorization: Option<HeaderValue>,
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
    /// The receiver refuses the event as it was sent now. That may be about the event, or about the
    /// signature's time or key.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The beginning of the answer.
        answer: String,
        /// How long the receiver wants to be left alone.
        retry_after: Option<Duration>,
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
            authorization: authorization(&url),
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
                retry_after: None,
            };
        };
        let timestamp = Timestamp::now().unix();
        let mut request = self.agent.post(&self.url);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let response = request
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

/// The user and the password of a URL for HTTP's Basic authentication. They are percent-encoded in the URL
/// (RFC 3986, 3.2.1), but not in the header (RFC 7617), and ureq sends them as they are.
fn authorization(url: &Uri) -> Option<HeaderValue> {
    let (userinfo, _) = url.authority()?.as_str().rsplit_once('@')?;
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    let mut credentials: Vec<u8> = percent_decode_str(user).collect();
    credentials.push(b':');
    credentials.extend(percent_decode_str(password));
    let header = format!("Basic {}", STANDARD.encode(credentials));
    let mut value = HeaderValue::from_str(&header).ok()?;
    value.set_sensitive(true);
    Some(value)
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
            retry_after,
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
