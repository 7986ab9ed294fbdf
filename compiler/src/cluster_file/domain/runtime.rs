use crate::pki::Secret;

/// Docker's own registry, as images' names say it.
pub const DOCKER_HUB: &str = "docker.io";

/// The URL of a registry by its name: Docker's is elsewhere than its images' names say.
pub fn server(host: &str) -> String {
    match host {
        DOCKER_HUB => "https://registry-1.docker.io".to_owned(),
        host => format!("https://{host}"),
    }
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
    /// Its `http` or `https` URL, without a slash at its end.
    pub url: String,
    /// How it is reached.
    pub access: Access,
}

impl Mirror {
    /// `host` or `host:port` of its URL.
    pub fn host(&self) -> &str {
        self.parts().0
    }

    /// The path of its URL, with its slash; empty if there is none.
    pub fn path(&self) -> &str {
        self.parts().1
    }

    fn parts(&self) -> (&str, &str) {
        let rest = self.url.split_once("://").map_or(&*self.url, |it| it.1);
        rest.split_at(rest.find('/').unwrap_or(rest.len()))
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
