use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use super::Refusal;
use crate::{Event, Timestamp, names};

/// All but the unreserved characters of RFC 3986, section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The version of CloudEvents that envelopes follow.
const SPECVERSION: &str = "1.0";

/// An event in the envelope of CloudEvents 1.0, structured mode. A reader ignores attributes that it doesn't know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudEvent<'a> {
    /// The version of CloudEvents, `1.0`.
    pub specversion: Cow<'a, str>,
    /// [`Event::id`].
    pub id: Cow<'a, str>,
    /// The node as a URI reference; without its cluster while no plan could be read.
    pub source: String,
    /// [`names::EVENT_TYPE_PREFIX`], a dot and the event's kind.
    pub r#type: String,
    /// The event's stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Cow<'a, str>>,
    /// [`Event::time`].
    pub time: Timestamp,
    /// The media type of `data`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datacontenttype: Option<Cow<'a, str>>,
    /// The event.
    pub data: Cow<'a, Event>,
}

impl<'a> CloudEvent<'a> {
    /// The media type of the JSON form.
    pub const CONTENT_TYPE: &'static str = "application/cloudevents+json";

    /// The envelope of an event.
    pub fn new(event: &'a Event) -> Self {
        Self {
            specversion: SPECVERSION.into(),
            id: event.id.as_str().into(),
            source: source(event),
            r#type: format!("{}.{}", names::EVENT_TYPE_PREFIX, event.kind),
            subject: event.stage.as_ref().map(|stage| stage.as_str().into()),
            time: event.time,
            datacontenttype: Some("application/json".into()),
            data: Cow::Borrowed(event),
        }
    }

    /// The event, when the envelope has the same id and kind.
    pub(super) fn open(self) -> Result<Event, Refusal> {
        let expected = CloudEvent::new(&self.data);
        let attributes = [
            ("specversion", &*self.specversion, &*expected.specversion),
            ("id", &*self.id, &*expected.id),
            ("type", &self.r#type, &expected.r#type),
        ];
        let wrong = attributes
            .iter()
            .find(|(_, value, expected)| value != expected);
        if let Some((attribute, value, _)) = wrong {
            return Err(Refusal::Envelope {
                attribute,
                value: (*value).to_owned(),
            });
        }
        Ok(self.data.into_owned())
    }
}

/// The node as a URI reference; without its cluster while no plan could be read. A node's name may be whatever
/// its machine's hostname is, so both names are percent-encoded.
fn source(event: &Event) -> String {
    let node = utf8_percent_encode(&event.node, RESERVED);
    match &event.cluster {
        Some(cluster) => {
            let cluster = utf8_percent_encode(cluster, RESERVED);
            format!("/clusters/{cluster}/nodes/{node}")
        }
        None => format!("/nodes/{node}"),
    }
}
