use crate::{HttpUrl, Secret};

/// Docker's own registry, as images' names say it.
pub const DOCKER_HUB: &str = "docker.io";

/// The host that serves a registry, by the registry's name: Docker's is elsewhere than its images' names say.
pub fn server_host(registry: &str) -> &str {
    match registry {
        DOCKER_HUB => "registry-1.docker.io",
        host => host,
    }
}

/// The URL of a registry by its name.
pub fn server(registry: &str) -> String {
    format!("https://{}", server_host(registry))
}

/// An image registry that needs something to be reached.
pub struct Registry {
    /// `host` or `host:port`, as in images' names.
    pub host: String,
    /// How it is reached itself.
    pub access: Access,
    /// Where its images are looked for first, in order.
    pub mirrors: Vec<Mirror>,
}

/// Where a registry's images are too.
pub struct Mirror {
    /// Its URL, without a slash at its end.
    pub url: HttpUrl,
    /// How it is reached.
    pub access: Access,
}

impl Mirror {
    /// `host` or `host:port` of its URL.
    pub fn host(&self) -> &str {
        self.url.host_and_port()
    }

    /// The path of its URL, with its slash; empty if there is none.
    pub fn path(&self) -> &str {
        self.url.path()
    }

    /// Where it answers the registries' API. A path with `v2` in it is the API's own. Any other path begins the
    /// names of images there, and follows `/v2`.
    pub fn api(&self) -> String {
        format!("{}://{}{}", self.url.scheme(), self.host(), self.api_path())
    }

    /// How images' names begin there, if its API is at the root of its host.
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

/// How a registry or mirror is reached.
#[derive(Default)]
pub struct Access {
    /// PEM certificates to trust besides the system's.
    pub certificate_authority: Option<String>,
    /// User and password, as HTTP's Basic authentication encodes them.
    pub credentials: Option<Secret>,
}

impl Access {
    /// Whether it needs neither a certificate authority nor credentials of its own.
    pub fn is_plain(&self) -> bool {
        self.certificate_authority.is_none() && self.credentials.is_none()
    }
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
