//! Image names, as container runtimes store them.

/// The full name of an image, as a runtime stores it: Docker's short forms are spelled out, and
/// a digest makes the tag meaningless (containerd, `reference/docker.ParseDockerRef`).
pub fn full(name: &str) -> String {
    let (rest, digest) = match name.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (name, None),
    };
    let (path, tag) = match rest.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (rest, None),
    };
    let is_host = |first: &str| first.contains(['.', ':']) || first == "localhost";
    let path = match path.split_once('/') {
        Some((first, _)) if is_host(first) => path.to_owned(),
        Some(_) => format!("docker.io/{path}"),
        None => format!("docker.io/library/{path}"),
    };
    // What Docker's registry was called in its first years.
    let path = match path.strip_prefix("index.docker.io/") {
        Some(rest) => full_path_on_docker(rest),
        None => path,
    };
    match (digest, tag) {
        (Some(digest), _) => format!("{path}@{digest}"),
        (None, tag) => format!("{path}:{}", tag.unwrap_or("latest")),
    }
}

fn full_path_on_docker(rest: &str) -> String {
    let library = if rest.contains('/') { "" } else { "library/" };
    format!("docker.io/{library}{rest}")
}

#[cfg(test)]
mod tests {
    use super::full;

    #[test]
    fn short_names_are_dockers() {
        for (name, wanted) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("calico/node:v3", "docker.io/calico/node:v3"),
            ("localhost/a", "localhost/a:latest"),
            ("r.example.org:5000/a", "r.example.org:5000/a:latest"),
            ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"),
            ("index.docker.io/nginx:1", "docker.io/library/nginx:1"),
            ("a.example.org/b:1@sha256:00", "a.example.org/b@sha256:00"),
        ] {
            assert_eq!(full(name), wanted);
            assert_eq!(full(wanted), wanted);
        }
    }
}
