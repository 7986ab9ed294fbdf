//! Rules about the container runtime. They do not apply to files that the user has overridden.
//!
//! The paths of the files come from [`crate::runtime`]. Their contents are parsed with separate code, so
//! that a mistake in the code that wrote them is detected.

use anyhow::{Context, Result, anyhow, bail, ensure};
use nkd_contract::{ImageSource, PATCHES_ARGUMENT, Role, Runtime};
use serde_json::Value;

use super::nodes::{DecodedCluster, DecodedNode};
use crate::kubeadm::{PATCHES, STATIC_PODS};
use crate::node::PROXY_DROPIN;
use crate::runtime::{config_file, crio, docker, sandbox_file};
use nkd_document::yaml;
use nkd_model::version::Version;

/// kubelet, kubeadm and the runtime use the same socket and the same cgroup driver.
pub(super) fn agrees(cluster: &DecodedCluster, node: &DecodedNode) -> Result<()> {
    let init = cluster.init()?;
    let kubelet = &init.document("KubeletConfiguration")?["cgroupDriver"];
    let runtime = node.plan.runtime;
    ensure!(runtime == init.plan.runtime, "{} has {runtime}", node.name);
    let version = Version::parse(&node.plan.kubernetes_version);
    let version = version.map_err(|problem| anyhow!(problem))?;
    let endpoint = runtime.cri_endpoint(version.cri_socket_has_scheme());
    ensure!(
        node.registration()?["criSocket"] == endpoint,
        "kubelet on {} does not use the socket {endpoint}",
        node.name
    );
    if let Some(driver) = cgroup_driver(node)? {
        ensure!(
            *kubelet == driver,
            "{runtime} uses the cgroup driver {driver}, but kubelet uses {kubelet}"
        );
    }
    Ok(())
}

/// The sandbox image is in the plan, so that the node has it before the first pod starts.
pub(super) fn has_sandbox_image(_: &DecodedCluster, node: &DecodedNode) -> Result<()> {
    let Some(image) = sandbox_image(node)? else {
        return Ok(());
    };
    let mut required = node.plan.images.required.iter();
    let planned = required.any(|required| required.name == image);
    ensure!(
        planned,
        "the plan of {} does not contain {image}",
        node.name
    );
    Ok(())
}

/// If units use a proxy, they do not use it for the API or for the node's own addresses. Otherwise
/// kubelet would connect to its own control plane through the proxy.
pub(super) fn proxy_spares_node(_: &DecodedCluster, node: &DecodedNode) -> Result<()> {
    let mut spared = vec![node.endpoint_host()?.to_owned()];
    spared.extend(node.addresses()?.iter().map(ToString::to_string));
    for (path, text) in node
        .own_files()
        .filter(|(path, _)| path.ends_with(PROXY_DROPIN))
    {
        let direct = between(text, "NO_PROXY=", "\"").context("no NO_PROXY")?;
        for host in &spared {
            let is_spared = direct.split(',').any(|direct| direct == host);
            ensure!(
                is_spared,
                "{path} on {} sends connections to {host} through the proxy",
                node.name
            );
        }
    }
    Ok(())
}

/// If nodes pull no images, kubelet's garbage collection does not remove the images of the plan, unless
/// the user has configured it. With containerd, the pins exist only on the node, so they are not checked.
pub(super) fn keeps_images(cluster: &DecodedCluster, node: &DecodedNode) -> Result<()> {
    let collects =
        &cluster.init()?.document("KubeletConfiguration")?["imageGCHighThresholdPercent"];
    let is_closed = match &node.plan.images.source {
        ImageSource::Registry => false,
        ImageSource::Directory(_) => true,
        ImageSource::Bundles(bundles) => !bundles.registry,
    };
    if !is_closed || !collects.is_null() || node.plan.runtime == Runtime::Containerd {
        return Ok(());
    }
    let Some(pinned) = nkds_file(node, crio::PINNED)? else {
        return Ok(());
    };
    for image in &node.plan.images.required {
        let is_pinned = pinned.contains(&format!("\"{}\"", image.name));
        ensure!(is_pinned, "{} does not pin {}", node.name, image.name);
    }
    Ok(())
}

/// kubeadm reads the patches that nkd delivers to a node.
pub(super) fn takes_patches(_: &DecodedCluster, node: &DecodedNode) -> Result<()> {
    let name = &node.name;
    let mut patches = node
        .own_files()
        .map(|(path, _)| path)
        .filter(|path| path.starts_with(PATCHES));
    if let Some(patch) = patches.next() {
        let configured = node.configuration()?["patches"]["directory"] == PATCHES;
        let argument = node.plan.patches_argument.as_deref();
        ensure!(
            configured != (argument == Some(PATCHES)),
            "kubeadm on {name} does not use the patch {patch}"
        );
    }
    let requires_feature = node
        .plan
        .requires
        .iter()
        .any(|feature| feature == PATCHES_ARGUMENT);
    ensure!(
        requires_feature == node.plan.patches_argument.is_some(),
        "an older agent would not give kubeadm on {name} its patches"
    );
    Ok(())
}

/// If SELinux separates containers, the containers of the control plane can access the files of the host.
pub(super) fn separates_containers(_: &DecodedCluster, node: &DecodedNode) -> Result<()> {
    if node.plan.role == Role::JoinWorker || !separates(node)? {
        return Ok(());
    }
    let name = &node.name;
    let etcd = node.plan.runs_etcd.then_some("etcd");
    for pod in STATIC_PODS.into_iter().chain(etcd) {
        let file = format!("{PATCHES}/{pod}+strategic.yaml");
        let text = node.files.get(&file);
        let text = text.with_context(|| format!("{name} has no {file}"))?;
        ensure!(reaches_host(&yaml::fragment(text)?), "{name}: {file}");
    }
    ensure!(
        node.manifests()?
            .iter()
            .all(|pod| reaches_host(std::slice::from_ref(pod))),
        "a static pod on {name} cannot read the files of the host"
    );
    Ok(())
}

fn reaches_host(pods: &[Value]) -> bool {
    let kind = |pod: &Value| pod["spec"]["securityContext"]["seLinuxOptions"]["type"] == "spc_t";
    pods.iter().all(kind) && !pods.is_empty()
}

/// Whether nkd's configuration makes the runtime separate containers; `None` if the user has overridden
/// the file.
fn separates(node: &DecodedNode) -> Result<bool> {
    let runtime = node.plan.runtime;
    if runtime == Runtime::Crio {
        return Ok(node.files.contains_key(crio::SELINUX));
    }
    let Some(text) = nkds_file(node, config_file(runtime))? else {
        return Ok(false);
    };
    Ok(match runtime {
        Runtime::Containerd => text.contains("enable_selinux = true\n"),
        _ => json(text)?["selinux-enabled"] == true,
    })
}

fn nkds_file<'a>(node: &'a DecodedNode, path: &str) -> Result<Option<&'a str>> {
    if node.of_user.contains(path) {
        return Ok(None);
    }
    let text = node.files.get(path).with_context(|| format!("no {path}"))?;
    Ok(Some(text))
}

fn cgroup_driver(node: &DecodedNode) -> Result<Option<&'static str>> {
    let runtime = node.plan.runtime;
    let Some(text) = nkds_file(node, config_file(runtime))? else {
        return Ok(None);
    };
    let systemd = match runtime {
        Runtime::Containerd => text.contains("SystemdCgroup = true\n"),
        Runtime::Crio => text.contains("cgroup_manager = \"systemd\"\n"),
        Runtime::Isulad => json(text)?["systemd-cgroup"] == true,
        Runtime::Docker | Runtime::CriDockerd => {
            let options = &json(text)?["exec-opts"];
            let options = options.as_array().into_iter().flatten();
            options
                .into_iter()
                .any(|option| option == "native.cgroupdriver=systemd")
        }
    };
    Ok(Some(if systemd { "systemd" } else { "cgroupfs" }))
}

fn sandbox_image(node: &DecodedNode) -> Result<Option<String>> {
    let runtime = node.plan.runtime;
    let Some(path) = sandbox_file(runtime) else {
        let image = node.kubelet_arg(docker::SANDBOX_ARGUMENT)?;
        return Ok(image.map(str::to_owned));
    };
    let Some(text) = nkds_file(node, path)? else {
        return Ok(None);
    };
    let image = match runtime {
        Runtime::Containerd => between(text, "sandbox_image = \"", "\""),
        Runtime::Crio => between(text, "pause_image = \"", "\""),
        Runtime::CriDockerd => between(text, "--pod-infra-container-image=", "\n"),
        Runtime::Isulad => json(text)?["pod-sandbox-image"].as_str().map(str::to_owned),
        Runtime::Docker => bail!("dockershim has no file"),
    };
    let image = image.with_context(|| format!("{path} names no sandbox image"))?;
    Ok(Some(image))
}

fn json(text: &str) -> Result<Value> {
    Ok(serde_json::from_str(text)?)
}

fn between(text: &str, before: &str, after: &str) -> Option<String> {
    let (_, rest) = text.split_once(before)?;
    let (found, _) = rest.split_once(after)?;
    Some(found.to_owned())
}
