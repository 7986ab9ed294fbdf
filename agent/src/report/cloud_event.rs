use nkd_contract::{Event, Timestamp, names};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

/// All but the unreserved characters of RFC 3986, section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// An event in the envelope of CloudEvents 1.0, structured mode.
#[derive(Debug, Serialize)]
pub(super) struct CloudEvent<'a> {
    specversion: &'static str,
    id: &'a str,
    source: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'static str>,
    time: Timestamp,
    datacontenttype: &'static str,
    data: &'a Event,
}

impl<'a> CloudEvent<'a> {
    /// The media type of the JSON form.
    pub(super) const CONTENT_TYPE: &'static str = "application/cloudevents+json";

    pub(super) fn new(event: &'a Event) -> Self {
        Self {
            specversion: "1.0",
            id: &event.id,
            source: source(event),
            kind: format!("{}.{}", names::EVENT_TYPE_PREFIX, event.kind.name()),
            subject: event.stage.map(nkd_contract::Stage::name),
            time: event.time,
            datacontenttype: "application/json",
            data: event,
        }
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

#[cfg(test)]
mod tests {
    use nkd_contract::Kind;

    use super::*;
    use crate::events::tests::event;

    #[test]
    fn the_source_names_cluster_and_node() {
        let mut event = event(1, Kind::Started);
        assert_eq!(CloudEvent::new(&event).source, "/clusters/demo/nodes/cp1");
        event.cluster = None;
        event.node = "a b/ü".into();
        assert_eq!(CloudEvent::new(&event).source, "/nodes/a%20b%2F%C3%BC");
    }
}
