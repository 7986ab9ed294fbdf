use crate::pki::Secret;

/// An image registry that needs something to be reached.
pub struct Registry {
    /// `host` or `host:port`, as in images' names.
    pub host: String,
    /// How it is reached itself.
    pub access: Access,
    /// Where its images are looked for first, in order: URL and how that is reached.
    pub mirrors: Vec<(String, Access)>,
}

/// How a registry or mirror is reached.
pub struct Access {
    /// PEM certificates to trust besides the system's.
    pub certificate_authority: Option<String>,
    /// The value of HTTP's `Authorization`.
    pub authorization: Option<Secret>,
}
