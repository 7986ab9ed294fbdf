use crate::Secret;

/// The name of Docker Hub in image names.
pub const DOCKER_HUB: &str = "docker.io";

/// The URL of a registry with this name. Docker Hub has another host than the one in its image names.
pub fn server(host: &str) -> String {
    match host {
        DOCKER_HUB => "https://registry-1.docker.io".to_owned(),
        host => format!("https://{host}"),
    }
}

/// An image registry that needs a mirror, a certificate authority or credentials.
pub struct Registry {
    /// `host` or `host:port`, as in image names.
    pub host: String,
    /// The settings for connections to the registry itself.
    pub access: Access,
    /// The mirrors that the runtime tries before the registry, in order.
    pub mirrors: Vec<Mirror>,
}

/// A mirror of a registry.
pub struct Mirror {
    /// The `http` or `https` URL of the mirror, without a slash at its end.
    pub url: String,
    /// The settings for connections to the mirror.
    pub access: Access,
}

impl Mirror {
    /// The `host` or `host:port` of the URL.
    pub fn host(&self) -> &str {
        self.parts().0
    }

    /// The path of the URL with its slash, or an empty text.
    pub fn path(&self) -> &str {
        self.parts().1
    }

    /// The URL of the registry API on the mirror. A path that contains `v2` is the path of the API. Any
    /// other path is the beginning of image names on the mirror, and comes after `/v2`.
    pub fn api(&self) -> String {
        let (_, path) = self.parts();
        if path.is_empty() || path.split('/').any(|segment| segment == "v2") {
            return self.url.clone();
        }
        let server = self.url.strip_suffix(path).unwrap_or_default();
        format!("{server}/v2{path}")
    }

    /// The beginning of image names on the mirror, if the API is at the root of the host.
    pub fn location(&self) -> Option<String> {
        let api = self.api();
        let (_, path) = parts(&api);
        let names = path.strip_prefix("/v2").unwrap_or(path);
        let is_root = names.is_empty() || (names != path && names.starts_with('/'));
        is_root.then(|| format!("{}{names}", self.host()))
    }

    fn parts(&self) -> (&str, &str) {
        parts(&self.url)
    }
}

/// The `host` or `host:port` of a URL, and its path.
fn parts(url: &str) -> (&str, &str) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split_at(rest.find('/').unwrap_or(rest.len()))
}

/// The settings for connections to a registry or mirror.
#[derive(Default)]
pub struct Access {
    /// PEM certificates that the runtime trusts in addition to those of the system.
    pub certificate_authority: Option<String>,
    /// User and password, as in HTTP Basic authentication.
    pub credentials: Option<Secret>,
}

impl Access {
    /// Whether neither a certificate authority nor credentials are set.
    pub fn is_plain(&self) -> bool {
        self.certificate_authority.is_none() && self.credentials.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::{Access, Mirror};

    #[test]
    fn a_path_of_a_mirror_begins_the_names_of_images_or_is_the_apis_own() {
        for (url, api, location) in [
            ("https://m", "https://m", Some("m")),
            (
                "http://m:5000/k8s",
                "http://m:5000/v2/k8s",
                Some("m:5000/k8s"),
            ),
            ("https://m/a/b", "https://m/v2/a/b", Some("m/a/b")),
            ("https://m/v2", "https://m/v2", Some("m")),
            ("https://m/v2/k8s", "https://m/v2/k8s", Some("m/k8s")),
            ("https://m/api/k8s/v2", "https://m/api/k8s/v2", None),
            ("https://m/api/v2/k8s", "https://m/api/v2/k8s", None),
            // Neither a host nor a name with these letters is the API's.
            ("https://v2.m", "https://v2.m", Some("v2.m")),
            ("https://v2/v2x", "https://v2/v2/v2x", Some("v2/v2x")),
        ] {
            let mirror = Mirror {
                url: url.to_owned(),
                access: Access::default(),
            };
            assert_eq!(mirror.api(), api, "{url}");
            assert_eq!(mirror.location().as_deref(), location, "{url}");
        }
    }
}
