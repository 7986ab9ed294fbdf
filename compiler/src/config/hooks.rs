//! Hooks before and after the agent's stages. Their directory is the only part of `/etc/nkd` that always
//! belongs to the user.

use nkd_contract::{Stage, paths};

/// Whether a hook, or a directory above hooks, may have this path. A directory with the name of no stage
/// may not, because the agent would never run its hooks.
pub(super) fn may_be_at(path: &str) -> bool {
    let Some(rest) = path.strip_prefix(paths::HOOKS) else {
        return false;
    };
    let mut parts = rest.split('/');
    let (root, directory, name, more) = (parts.next(), parts.next(), parts.next(), parts.next());
    let has_stage = |directory: &str| {
        let name = directory.strip_suffix(".d");
        let parts = name.and_then(|name| name.split_once('-'));
        parts.is_some_and(|(time, name)| {
            ["pre", "post"].contains(&time) && Stage::ALL.iter().any(|stage| stage.name() == name)
        })
    };
    root == Some("")
        && directory.is_none_or(has_stage)
        && name.is_none_or(|name| !name.is_empty())
        && more.is_none()
}

#[cfg(test)]
mod tests {
    use super::may_be_at;

    #[test]
    fn hooks_are_files_in_directories_of_stages() {
        for good in [
            "",
            "/pre-kubeadm.d",
            "/pre-kubeadm.d/10-disk",
            "/post-pivot.d/x",
        ] {
            assert!(may_be_at(&format!("/etc/nkd/hooks{good}")), "{good}");
        }
        for bad in [
            "/pre-kubadm.d/10-disk",
            "/kubeadm.d/10-disk",
            "/pre-kubeadm/10-disk",
            "/pre-kubeadm.d/more/10-disk",
            "/10-disk",
            "y/pre-kubeadm.d/10-disk",
        ] {
            assert!(!may_be_at(&format!("/etc/nkd/hooks{bad}")), "{bad}");
        }
        assert!(!may_be_at("/etc/nkd/plan.json"));
    }
}
