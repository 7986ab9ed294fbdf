//! Callbacks: what a node posts to the receiver, and how the receiver verifies it.
//!
//! A callback is an [`Event`] in the envelope of a [`CloudEvent`], signed with the node's [`SigningKey`] as Standard
//! Webhooks 1.0 prescribe. A receiver fills a [`Received`] from the request and calls [`Received::verify`].

mod cloud_event;
mod signature;

use crate::{Event, Timestamp};

pub use cloud_event::CloudEvent;
pub use signature::{KeyError, SigningKey};

/// The header with the event's id.
pub const ID_HEADER: &str = "webhook-id";
/// The header with the moment of the attempt, in seconds since the epoch.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// The header with the signatures.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// A callback as it arrived, of which nothing is proved yet.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// The header `content-type`.
    pub content_type: &'a str,
    /// The header [`ID_HEADER`].
    pub id: &'a str,
    /// The header [`TIMESTAMP_HEADER`].
    pub timestamp: &'a str,
    /// The header [`SIGNATURE_HEADER`].
    pub signature: &'a str,
    /// The body, byte for byte.
    pub body: &'a [u8],
}

/// Why a callback is not believed.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Another media type than a callback's.
    #[error("the content type is {0}, not {expected}", expected = CloudEvent::CONTENT_TYPE)]
    ContentType(String),
    /// The timestamp is not a number of seconds.
    #[error("{TIMESTAMP_HEADER} {0:?} is not a number of seconds")]
    Timestamp(String),
    /// The body is not the event of a node.
    #[error("the body is not a CloudEvent of a node")]
    Body(#[from] serde_json::Error),
    /// The receiver has no key of the node or open pool that the event names.
    #[error("there is no key of {0}")]
    Node(String),
    /// None of the signatures is of that key.
    #[error("{SIGNATURE_HEADER} has no signature of {0}")]
    Signature(String),
    /// The envelope contradicts the event.
    #[error("{attribute} of the envelope is {value:?}, which contradicts the event")]
    Envelope {
        /// The name of the envelope's attribute or of the header.
        attribute: &'static str,
        /// Its value.
        value: String,
    },
}

impl Received<'_> {
    /// The event, once it is proved that the node it names has signed it. `key_of` gives the key of the node or
    /// open pool that [`Event::cluster`] and [`Event::signer`] name; it must rely on nothing else of the event.
    /// All machines of an open pool have the same key, so the signature proves only the pool, not the node.
    ///
    /// The moment of the attempt is not judged, because the clock of a machine at first boot may be wrong; where
    /// clocks are right, [`is_recent`](Self::is_recent) limits how long a stolen callback can be replayed. The same
    /// event may come again: drop repetitions by [`Event::id`].
    ///
    /// # Errors
    /// The callback is not one of a node whose key `key_of` gives.
    pub fn verify<K>(&self, key_of: impl FnOnce(&Event) -> Option<K>) -> Result<Event, Refusal>
    where
        K: AsRef<SigningKey>,
    {
        let (media_type, _) = self
            .content_type
            .split_once(';')
            .unwrap_or((self.content_type, ""));
        if !media_type
            .trim()
            .eq_ignore_ascii_case(CloudEvent::CONTENT_TYPE)
        {
            return Err(Refusal::ContentType(self.content_type.to_owned()));
        }
        let timestamp = self.timestamp()?;
        let envelope: CloudEvent<'static> = serde_json::from_slice(self.body)?;
        let signer = envelope.data.signer();
        let key = key_of(&envelope.data).ok_or_else(|| Refusal::Node(signer.to_owned()))?;
        let key = key.as_ref();
        if !key.verify(self.id, timestamp, self.body, self.signature) {
            return Err(Refusal::Signature(signer.to_owned()));
        }
        if self.id != envelope.data.id {
            return Err(Refusal::Envelope {
                attribute: ID_HEADER,
                value: self.id.to_owned(),
            });
        }
        envelope.open()
    }

    /// Whether the attempt was made less than `seconds` before or after this moment.
    ///
    /// # Errors
    /// The timestamp is not a number.
    pub fn is_recent(&self, now: Timestamp, seconds: u64) -> Result<bool, Refusal> {
        Ok(self.timestamp()?.abs_diff(now.unix()) <= seconds)
    }

    fn timestamp(&self) -> Result<u64, Refusal> {
        let text = self.timestamp;
        text.parse()
            .map_err(|_| Refusal::Timestamp(text.to_owned()))
    }
}
