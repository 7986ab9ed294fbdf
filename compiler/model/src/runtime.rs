use schemars::JsonSchema;
use serde::Deserialize;

use crate::{HttpUrl, Secret};

/// The name of Docker Hub in image names.
pub const DOCKER_HUB: &str = "docker.io";

/// The host that stands for all registries that are not listed, as in containerd's configuration.
pub const OTHER_REGISTRIES: &str = "_default";

/// The host that serves a registry, by the registry's name: Docker's is elsewhere than its images' names say.
pub fn server_host(registry: &str) -> &str {
    match registry {
        DOCKER_HUB => "registry-1.docker.io",
        host => host,
    }
}

/// The URL of a registry by its name; none for [`OTHER_REGISTRIES`].
pub fn server(registry: &str, insecure: Option<Insecure>) -> Option<String> {
    let scheme = match insecure {
        Some(Insecure::PlainHttp) => "http",
        Some(Insecure::UnverifiedTls) | None => "https",
    };
    (registry != OTHER_REGISTRIES).then(|| format!("{scheme}://{}", server_host(registry)))
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
    /// Its URL, without a slash at its end.
    pub url: HttpUrl,
    /// The settings for connections to the mirror.
    pub access: Access,
}

impl Mirror {
    /// The `host` or `host:port` of the URL.
    pub fn host(&self) -> &str {
        self.url.host_and_port()
    }

    /// The path of the URL with its slash, or an empty text.
    pub fn path(&self) -> &str {
        self.url.path()
    }

    /// The URL of the registry API on the mirror. A path that contains `v2` is the path of the API. Any
    /// other path is the beginning of image names on the mirror, and comes after `/v2`.
    pub fn api(&self) -> String {
        format!("{}://{}{}", self.url.scheme(), self.host(), self.api_path())
    }

    /// The beginning of image names on the mirror, if the API is at the root of the host.
    pub fn location(&self) -> Option<String> {
        let path = self.api_path();
        let names = path.strip_prefix("/v2").unwrap_or(&path);
        let is_root = names.is_empty() || (names != path && names.starts_with('/'));
        is_root.then(|| format!("{}{names}", self.host()))
    }

    fn api_path(&self) -> String {
        let path = self.path();
        if path.is_empty() || path.split('/').any(|segment| segment == "v2") {
            path.to_owned()
        } else {
            format!("/v2{path}")
        }
    }
}

/// The settings for connections to a registry or mirror.
#[derive(Default)]
pub struct Access {
    /// PEM certificates that the runtime trusts in addition to those of the system.
    pub certificate_authority: Option<String>,
    /// User and password, as in HTTP Basic authentication.
    pub credentials: Option<Secret>,
    /// How the runtime connects without verifying the server. With `None`, it verifies the server.
    pub insecure: Option<Insecure>,
}

/// Connections to registries that do not verify the server
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Insecure {
    /// The server has no TLS.
    PlainHttp,
    /// The runtime does not verify the server's certificate.
    UnverifiedTls,
}

#[cfg(test)]
mod tests {
    use super::{Access, Mirror};
    use crate::HttpUrl;

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
                url: HttpUrl::parse(url).unwrap(),
                access: Access::default(),
            };
            assert_eq!(mirror.api(), api, "{url}");
            assert_eq!(mirror.location().as_deref(), location, "{url}");
        }
    }
}
