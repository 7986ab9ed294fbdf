use fluent_uri::Uri;
use fluent_uri::component::{Authority, Host};

/// An `http` or `https` URL with a host and without a fragment (RFC 3986, RFC 9110).
#[derive(Clone)]
pub struct HttpUrl(Uri<String>);

impl HttpUrl {
    /// Reads a URL. `None` if it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let url = Uri::parse(text).ok()?.to_owned();
        let is_http = matches!(url.scheme().as_str(), "http" | "https");
        let authority = url.authority()?;
        let is_port = |port: &str| port.parse::<u16>().is_ok_and(|number| number != 0);
        let has_good_port = authority.port().is_none_or(|port| is_port(port.as_str()));
        let is_good =
            is_http && !authority.host().is_empty() && has_good_port && !url.has_fragment();
        is_good.then_some(Self(url))
    }

    /// The URL as it was written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether the scheme is `https`.
    pub fn is_https(&self) -> bool {
        self.scheme() == "https"
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &str {
        self.0.scheme().as_str()
    }

    /// The name in the place of the host, unless there is an IP address in brackets.
    pub fn host_name(&self) -> Option<&str> {
        let authority = self.authority()?;
        match authority.host_parsed() {
            Host::Ipv4 { .. } | Host::RegName(_) => Some(authority.host()),
            _ => None,
        }
    }

    /// The host: a name or an IP address, without brackets.
    pub fn host(&self) -> &str {
        let host = self.authority().map_or("", |authority| authority.host());
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// `host` or `host:port`.
    pub fn host_and_port(&self) -> &str {
        let authority = self.authority().map_or("", |authority| authority.as_str());
        authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host)
    }

    /// The path with its slash; empty if there is none.
    pub fn path(&self) -> &str {
        self.0.path().as_str()
    }

    /// Whether it has neither a user name nor a query.
    pub fn is_plain(&self) -> bool {
        let has_user = self
            .authority()
            .is_some_and(|authority| authority.has_userinfo());
        !has_user && !self.0.has_query()
    }

    fn authority(&self) -> Option<Authority<'_>> {
        self.0.authority()
    }
}

#[cfg(test)]
mod tests {
    use super::HttpUrl;

    #[test]
    fn a_url_has_a_scheme_a_host_and_a_port_that_exist() {
        for (text, host_and_port, path) in [
            ("http://a", "a", ""),
            ("https://a:8080/x?y", "a:8080", "/x"),
            ("https://me:p%40@a.example/", "a.example", "/"),
            ("http://[fd00::1]:80", "[fd00::1]:80", ""),
        ] {
            let url = HttpUrl::parse(text).unwrap();
            assert_eq!(
                (url.host_and_port(), url.path()),
                (host_and_port, path),
                "{text}"
            );
            assert_eq!(url.as_str(), text);
            let host = url.host();
            let bracketed = format!("[{host}]");
            assert!(host_and_port.starts_with(host) || host_and_port.starts_with(&bracketed));
        }
        for text in [
            "ftp://a",
            "HTTP://a",
            "//a",
            "http:a",
            "http://",
            "http:///x",
            "http://:80",
            "http://a:",
            "http://a:0",
            "http://a:65536",
            "http://[::g]",
            "http://a b",
            "http://a\\b",
            "http://ü",
            "http://a/%zz",
            "http://a/ü",
            "http://me@x@a",
            "http://a#f",
        ] {
            assert!(HttpUrl::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_plain_url_has_neither_a_user_name_nor_a_query() {
        for (text, is_plain) in [
            ("https://a/b@c", true),
            ("https://me@a", false),
            ("https://a?", false),
        ] {
            assert_eq!(HttpUrl::parse(text).unwrap().is_plain(), is_plain, "{text}");
        }
    }
}
