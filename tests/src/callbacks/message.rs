use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use nkd_contract::callback::{ID_HEADER, Received, SIGNATURE_HEADER, SigningKey, TIMESTAMP_HEADER};
use nkd_contract::{Event, Timestamp};

/// How far a message's time may be from the receiver's, in seconds: against replays. The clocks of the testbed's
/// machines are right.
const TOLERANCE: u64 = 5 * 60;

/// A callback as it came.
#[derive(Debug, Default)]
pub(super) struct Message {
    /// Headers, with lowercase names.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

impl Message {
    /// The event, when a known node has signed it and the envelope contradicts nothing in the event.
    pub(super) fn verify(&self, keys: &BTreeMap<String, String>) -> Result<Event> {
        self.verify_at(keys, Timestamp::now())
    }

    fn verify_at(&self, keys: &BTreeMap<String, String>, now: Timestamp) -> Result<Event> {
        let received = Received {
            content_type: self.header("content-type")?,
            id: self.header(ID_HEADER)?,
            timestamp: self.header(TIMESTAMP_HEADER)?,
            signature: self.header(SIGNATURE_HEADER)?,
            body: &self.body,
        };
        let key_of = |event: &Event| keys.get(event.signer())?.parse::<SigningKey>().ok();
        let event = received.verify(key_of)?;
        ensure!(
            received.is_recent(now, TOLERANCE)?,
            "{TIMESTAMP_HEADER} {} is too far off",
            received.timestamp
        );
        Ok(event)
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
    const BODY: &str = r#"{"specversion":"1.0","id":"id-1","source":"/clusters/demo/nodes/cp1","type":"org.openeuler.nkd1.node.ready","time":"2023-11-14T22:13:21Z","datacontenttype":"application/json","data":{"sequence":1,"id":"id-1","time":"2023-11-14T22:13:21Z","boot":"boot","cluster":"demo","node":"cp1","kind":"ready","attempt":0,"message":"cp1 is a Ready node of demo"}}"#;
    /// What another program than the one under test has signed:
    /// `printf %s "id-1.1700000001.$BODY" | openssl dgst -sha256 -mac HMAC -macopt hexkey:$KEY -binary | base64`,
    /// where `$KEY` is that of [`KEY`] in hexadecimal.
    const SIGNATURE: &str = "v1,5kTAJ6XJnUR87Tv1jqNNEAFh6hcmExveNmOjaBCvnD8=";

    fn message() -> Message {
        let headers = [
            ("content-type", "application/cloudevents+json"),
            ("webhook-id", "id-1"),
            ("webhook-timestamp", "1700000001"),
            ("webhook-signature", SIGNATURE),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Message {
            headers: BTreeMap::from(headers),
            body: BODY.into(),
        }
    }

    fn verify(message: &Message, seconds_later: u64) -> Result<Event> {
        let keys = BTreeMap::from([("cp1".to_owned(), KEY.to_owned())]);
        message.verify_at(&keys, Timestamp::from_unix(1_700_000_001 + seconds_later))
    }

    #[test]
    fn a_callback_that_openssl_has_signed_is_believed() {
        assert_eq!(verify(&message(), 0).unwrap().node, "cp1");
    }

    #[test]
    fn a_changed_body_id_or_time_is_not_believed() {
        let mut changed = message();
        changed.body.push(b' ');
        assert!(verify(&changed, 0).is_err());
        for (header, value) in [("webhook-id", "id-2"), ("webhook-timestamp", "1700000002")] {
            let mut changed = message();
            changed.headers.insert(header.into(), value.into());
            assert!(verify(&changed, 0).is_err(), "{header}");
        }
    }

    #[test]
    fn an_unknown_node_is_not_believed() {
        let refused = message().verify_at(&BTreeMap::new(), Timestamp::from_unix(1_700_000_001));
        assert!(refused.is_err());
    }

    #[test]
    fn an_old_message_is_not_believed() {
        assert!(verify(&message(), TOLERANCE).is_ok());
        assert!(verify(&message(), TOLERANCE + 1).is_err());
    }
}
