//! What nkd reads of manifests. Only that is kept in memory, because a manifest can have megabytes, and a tree of its
//! values ten times as much.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::image_name;

/// A pod's lists of containers, in whatever kind of object the pod is described.
const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

/// A document of a manifest, or a part of one.
#[derive(Default)]
pub struct Object {
    /// Whether nothing is written.
    pub is_empty: bool,
    /// Whether it has `apiVersion` and `kind`.
    pub is_typed: bool,
    /// The full names of the images of every pod that is described, itself or in a template of a workload or
    /// a list of them.
    pub images: BTreeSet<String>,
    /// The value, if it is text.
    text: Option<String>,
    /// The values of two keys, and the items of a list that have the first one.
    image: Option<Box<Self>>,
    reference: Option<Box<Self>>,
    items: Vec<Self>,
}

impl Object {
    /// Keeps what matters of the value of a key.
    fn take(&mut self, key: &str, mut value: Self) {
        self.images.append(&mut value.images);
        let image: fn(&Self) -> Option<&str> = match key {
            key if CONTAINERS.contains(&key) => |item| item.image.as_ref()?.text.as_deref(),
            // A volume that is an image (Kubernetes 1.31, `ImageVolume`).
            "volumes" => |item| item.image.as_ref()?.reference.as_ref()?.text.as_deref(),
            _ => |_| None,
        };
        let images = value.items.iter().filter_map(image).map(str::trim);
        let written = images.filter(|name| !name.is_empty());
        self.images.extend(written.map(image_name::full));
        match key {
            "image" => self.image = Some(Box::new(value)),
            "reference" => self.reference = Some(Box::new(value)),
            _ => {}
        }
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Object, E> {
        Ok(Object {
            is_empty: true,
            ..Object::default()
        })
    }

    fn visit_none<E: Error>(self) -> Result<Object, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Object, D::Error> {
        Object::deserialize(deserializer)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Object, E> {
        Ok(Object::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Object, E> {
        Ok(Object::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Object, E> {
        Ok(Object::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Object, E> {
        Ok(Object::default())
    }

    fn visit_str<E>(self, text: &str) -> Result<Object, E> {
        Ok(Object {
            text: Some(text.to_owned()),
            ..Object::default()
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Object, A::Error> {
        let mut object = Object::default();
        while let Some(mut item) = list.next_element::<Object>()? {
            object.images.append(&mut item.images);
            if item.image.is_some() {
                object.items.push(item);
            }
        }
        Ok(object)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
        let mut object = Object::default();
        let mut typed = 0;
        while let Some((key, value)) = map.next_entry::<String, Object>()? {
            let is_type = ["apiVersion", "kind"].contains(&&*key) && value.text.is_some();
            typed += u8::from(is_type);
            object.take(&key, value);
        }
        object.is_typed = typed == 2;
        Ok(object)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Object;
    use nkd_document::Diagnostics;
    use nkd_document::yaml;

    fn images(text: &str) -> Vec<String> {
        let mut diagnostics = Diagnostics::new();
        let source = diagnostics.add(Path::new("a.yaml"), text.to_owned());
        let objects = yaml::values::<Object>(source, &mut diagnostics).unwrap_or_default();
        assert!(diagnostics.is_empty(), "{diagnostics}");
        let images = objects.into_iter().flat_map(|(object, _)| object.images);
        images.collect()
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
            "spec: {containers: [{image: {reference: a}}], volumes: [{image: a, reference: b}]}",
        ] {
            assert!(images(other).is_empty(), "{other}");
        }
    }
}
