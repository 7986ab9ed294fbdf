use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use nkd_contract::{Event, SIGNING_KEY_PREFIX, Timestamp, names};
use serde::Deserialize;
use sha2::Sha256;

/// How far a message's time may be from the receiver's, in seconds: against replays.
const TOLERANCE: u64 = 5 * 60;

/// A callback as it came.
#[derive(Debug, Default)]
pub(super) struct Message {
    /// Headers, with lowercase names.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

/// The envelope: CloudEvents 1.0, structured JSON.
#[derive(Deserialize)]
struct CloudEvent {
    specversion: String,
    id: String,
    source: String,
    r#type: String,
    data: Event,
}

impl Message {
    /// The event, when a known node has signed it and the envelope says the same as the event.
    pub(super) fn verify(&self, keys: &BTreeMap<String, String>) -> Result<Event> {
        let kind = self.header("content-type")?;
        ensure!(
            kind.starts_with("application/cloudevents+json"),
            "content type {kind}"
        );
        let envelope: CloudEvent =
            serde_json::from_slice(&self.body).context("not a CloudEvent of a node")?;
        let event = &envelope.data;
        let key = keys
            .get(&event.node)
            .with_context(|| format!("unknown node {}", event.node))?;
        self.verify_signature(key, Timestamp::now())
            .with_context(|| format!("from {}", event.node))?;

        ensure!(
            envelope.specversion == "1.0",
            "CloudEvents {}",
            envelope.specversion
        );
        ensure!(!envelope.source.is_empty(), "no source");
        let expected = format!("{}.{}", names::EVENT_TYPE_PREFIX, event.kind.as_str());
        ensure!(
            envelope.r#type == expected,
            "type {} of a {expected}",
            envelope.r#type
        );
        let ids = [&envelope.id, self.header("webhook-id")?];
        ensure!(
            ids.iter().all(|id| **id == event.id),
            "ids differ: {ids:?} and {}",
            event.id
        );
        Ok(envelope.data)
    }

    /// Verifies as Standard Webhooks prescribes for symmetric keys.
    fn verify_signature(&self, key: &str, now: Timestamp) -> Result<()> {
        let (id, time) = (
            self.header("webhook-id")?,
            self.header("webhook-timestamp")?,
        );
        let seconds: u64 = time.parse().context("webhook-timestamp is not a number")?;
        ensure!(
            seconds.abs_diff(now.unix()) <= TOLERANCE,
            "webhook-timestamp {time} is too far off"
        );
        let key = key
            .strip_prefix(SIGNING_KEY_PREFIX)
            .context("a key without its prefix")?;
        let key = STANDARD.decode(key).context("a key that is not base64")?;
        let mac = Hmac::<Sha256>::new_from_slice(&key)?
            .chain_update(format!("{id}.{time}."))
            .chain_update(&self.body);
        for signature in self.header("webhook-signature")?.split(' ') {
            let Some(signature) = signature.strip_prefix("v1,") else {
                continue;
            };
            let signature = STANDARD.decode(signature).unwrap_or_default();
            if mac.clone().verify_slice(&signature).is_ok() {
                return Ok(());
            }
        }
        bail!("wrong signature")
    }

    fn header(&self, name: &str) -> Result<&String> {
        self.headers
            .get(name)
            .with_context(|| format!("no header {name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    /// The example in the specification's own libraries.
    fn example() -> (Message, Timestamp) {
        let headers = [
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            (
                "webhook-signature",
                "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            ),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let message = Message {
            headers: BTreeMap::from(headers),
            body: br#"{"test": 2432232314}"#.to_vec(),
        };
        (message, Timestamp::from_unix(1_614_265_330))
    }

    #[test]
    fn the_specifications_example_is_believed() {
        let (message, now) = example();
        message.verify_signature(KEY, now).unwrap();
    }

    #[test]
    fn a_changed_body_id_or_time_is_not_believed() {
        let (mut message, now) = example();
        message.body.push(b' ');
        assert!(message.verify_signature(KEY, now).is_err());
        for (header, value) in [("webhook-id", "msg_1"), ("webhook-timestamp", "1614265331")] {
            let (mut message, now) = example();
            message.headers.insert(header.into(), value.into());
            assert!(message.verify_signature(KEY, now).is_err(), "{header}");
        }
    }

    #[test]
    fn an_old_message_is_not_believed() {
        let (message, now) = example();
        let later = Timestamp::from_unix(now.unix() + TOLERANCE + 1);
        assert!(message.verify_signature(KEY, later).is_err());
    }
}
