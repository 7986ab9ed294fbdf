/// The server from which machines fetch the directory `nodes` of the output.
pub struct Server {
    /// An `http` or `https` URL without a slash at its end.
    pub url: String,
    /// PEM certificates that machines trust for this server.
    pub authority: Option<String>,
}

impl Server {
    /// The URL of a node's config.
    pub fn config_url(&self, node: &str) -> String {
        format!("{}/{node}.ign", self.url)
    }
}
