/// Where the directory `nodes` of the output will be found by machines.
pub struct Server {
    /// An `http` or `https` URL without a slash at its end.
    pub url: String,
    /// PEM certificates to trust there.
    pub authority: Option<String>,
}

impl Server {
    /// Where a node's config is.
    pub fn config_url(&self, node: &str) -> String {
        format!("{}/{node}.ign", self.url)
    }
}
