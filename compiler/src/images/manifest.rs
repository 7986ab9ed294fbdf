//! The images that manifests name.

use std::collections::BTreeSet;

use crate::image_name;
use nkd_document::yaml::{Node, Value};

/// A pod's lists of containers, in whatever kind of object the pod is described.
const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

/// The full names of the images of every pod that a document describes, itself or in a template
/// of a workload or a list of them.
pub fn images(document: &Node) -> BTreeSet<String> {
    let mut images = BTreeSet::new();
    collect(document, &mut images);
    images
}

fn collect(node: &Node, into: &mut BTreeSet<String>) {
    match &node.value {
        Value::Map(entries) => {
            for entry in entries {
                let named = |item: &Node| match entry.key.as_str() {
                    key if CONTAINERS.contains(&key) => text(item.get("image")),
                    // A volume that is an image (Kubernetes 1.31, `ImageVolume`).
                    "volumes" => text(item.get("image").and_then(|image| image.get("reference"))),
                    _ => None,
                };
                into.extend(entry.node.items().iter().filter_map(named));
                collect(&entry.node, into);
            }
        }
        _ => node.items().iter().for_each(|item| collect(item, into)),
    }
}

fn text(image: Option<&Node>) -> Option<String> {
    let name = image.and_then(Node::as_text)?.trim();
    (!name.is_empty()).then(|| image_name::full(name))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use nkd_document::Diagnostics;
    use nkd_document::yaml;

    fn images(text: &str) -> Vec<String> {
        let mut diagnostics = Diagnostics::new();
        let source = diagnostics.add(Path::new("a.yaml"), text.to_owned());
        let documents = yaml::documents(source, &mut diagnostics).unwrap_or_default();
        assert!(diagnostics.is_empty(), "{diagnostics}");
        documents.iter().flat_map(super::images).collect()
    }

    #[test]
    fn every_kind_of_workload_and_container_counts() {
        let pod = "containers: [{name: a, image: r.example.org/a:1}]";
        let kinds = "Deployment ReplicaSet StatefulSet DaemonSet Job ReplicationController";
        let templates = kinds
            .split(' ')
            .map(|kind| format!("kind: {kind}\nspec: {{template: {{spec: {{{pod}}}}}}}"));
        for workload in templates.chain([
            format!("kind: Pod\nspec: {{{pod}}}"),
            format!(
                "kind: CronJob\nspec: {{jobTemplate: {{spec: {{template: {{spec: {{{pod}}}}}}}}}}}"
            ),
            format!("kind: List\nitems: [{{kind: Pod, spec: {{{pod}}}}}]"),
            r#"{"kind": "Pod", "spec": {"initContainers": [{"image": "r.example.org/a:1"}]}}"#
                .to_owned(),
            "spec: {ephemeralContainers: [{image: r.example.org/a:1}]}".to_owned(),
            "spec: {volumes: [{name: v, image: {reference: r.example.org/a:1}}]}".to_owned(),
            format!("kind: A\n---\nkind: Pod\nspec: {{{pod}}}\n---\n"),
        ]) {
            assert_eq!(images(&workload), ["r.example.org/a:1"], "{workload}");
        }
    }

    #[test]
    fn what_only_looks_like_a_pod_does_not() {
        for other in [
            "properties: {containers: {type: array, image: a}}",
            "spec: {containers: [{name: a}, {image: ''}]}",
            "data: {a.yaml: 'containers: [{image: a}]'}",
        ] {
            assert!(images(other).is_empty(), "{other}");
        }
    }
}
