//! The cluster file with its defaults filled in. A value that is needed and absent stays absent,
//! so that the checks after this still see all the rest.

use nkd_contract::Stage;

use super::{keys, written};
use crate::images;
use crate::model::DEFAULT_API_PORT;
use crate::model::Role;
use crate::version::Version;
use nkd_document::yaml;
use nkd_document::{Code, Diagnostics, Span, Spanned};

type Text = Spanned<String>;

/// The document.
pub struct Cluster {
    /// The document's place.
    pub span: Span,
    /// `metadata.name`
    pub name: Option<Text>,
    /// `spec.kubernetes.version`
    pub version: Option<Text>,
    /// `spec.kubernetes.endpoint`
    pub endpoint: Option<Text>,
    /// `spec.kubernetes.imageRepository`
    pub image_repository: Text,
    /// `spec.kubernetes.networking.podSubnet`
    pub pod_subnet: Text,
    /// `spec.kubernetes.networking.serviceSubnet`
    pub service_subnet: Text,
    /// `spec.kubernetes.networking.dnsDomain`
    pub dns_domain: Text,
    /// `spec.kubernetes.apiServer.certSANs`
    pub cert_sans: Vec<Text>,
    /// `spec.kubernetes.kubeVip`
    pub kube_vip: Option<written::KubeVip>,
    /// `spec.kubernetes.etcd.external`
    pub external_etcd: Option<written::ExternalEtcd>,
    /// `spec.kubernetes.bootstrapTokens.each`
    pub tokens_each: Text,
    /// `spec.kubernetes.bootstrapTokens.ttl`
    pub token_ttl: Text,
    /// `spec.kubernetes.kubeadm`
    pub overlays: Vec<Text>,
    /// `spec.runtime`
    pub runtime: Runtime,
    /// `spec.network.manifests`
    pub manifests: Vec<Text>,
    /// `spec.network.ports`
    pub network_ports: Vec<Text>,
    /// `spec.budgets`
    pub budgets: Vec<(Stage, Text)>,
    /// `spec.airgap`
    pub airgap: Option<written::Airgap>,
    /// `spec.report`
    pub report: Option<written::Report>,
    /// `spec.os`
    pub os: written::Os,
    /// `spec.pki.algorithm`
    pub pki_algorithm: Text,
    /// `spec.pki.validity`
    pub pki_validity: Text,
    /// `spec.pki.authorities` and `spec.pki.serviceAccount`
    pub own_keys: written::OwnKeys,
    /// `spec.pools`
    pub pools: Vec<written::Pool>,
    /// `spec.nodes`
    pub nodes: Vec<Node>,
}

/// An item of `spec.nodes`
pub struct Node {
    /// `name`
    pub name: Option<Text>,
    /// `role`, its own or its pool's.
    pub role: Option<Text>,
    /// Its pool, by its place in `spec.pools`.
    pub pool: Option<usize>,
    /// `address`
    pub address: Option<Text>,
    /// `mac`
    pub mac: Option<Text>,
    /// `interfaces`
    pub interfaces: Vec<written::Interface>,
    /// What it says for itself.
    pub settings: written::Settings,
}

impl Node {
    /// Whether it says so; it may be wrong otherwise.
    pub fn is_control_plane(&self) -> bool {
        let role = self.role.as_ref();
        role.is_some_and(|role| role.value == Role::ControlPlane.name())
    }
}

/// `spec.runtime`
pub struct Runtime {
    /// `name`
    pub name: Text,
    /// `sandboxImage`
    pub sandbox_image: Text,
    /// `registries`
    pub registries: Vec<written::Registry>,
}

/// Fills in the defaults.
pub fn resolve(file: written::Cluster, to: &mut Diagnostics) -> Cluster {
    let span = file.span;
    let or = |text: Option<Text>, default: &str| {
        text.unwrap_or_else(|| Spanned::new(default.to_owned(), span))
    };
    header(&file, to);
    let written::Spec {
        kubernetes, nodes, ..
    } = file.spec;
    let pools = file.spec.pools.unwrap_or_default();
    let nodes = nodes.unwrap_or_default().into_iter();
    let nodes: Vec<_> = nodes.map(|it| node(it, &pools, to)).collect();
    let version = kubernetes.version;
    // A version that is wrong is reported later; until then anything does.
    let parsed = version
        .as_ref()
        .and_then(|it| Version::parse(&it.value).ok());
    let repository = or(
        kubernetes.image_repository,
        images::default_repository(parsed),
    );
    let sandbox_image = images::sandbox(parsed, &repository.value);
    Cluster {
        span,
        name: file.name,
        endpoint: kubernetes.endpoint.or_else(|| default_endpoint(&nodes)),
        version,
        image_repository: repository,
        pod_subnet: or(kubernetes.pod_subnet, keys::POD_SUBNET),
        service_subnet: or(kubernetes.service_subnet, keys::SERVICE_SUBNET),
        dns_domain: or(kubernetes.dns_domain, keys::DNS_DOMAIN),
        cert_sans: kubernetes.cert_sans.unwrap_or_default(),
        kube_vip: kubernetes.kube_vip,
        external_etcd: kubernetes.external_etcd,
        tokens_each: or(kubernetes.tokens_each, keys::TOKENS[0]),
        token_ttl: or(kubernetes.token_ttl, keys::TOKEN_TTL),
        overlays: kubernetes.overlays.unwrap_or_default(),
        runtime: Runtime {
            name: or(file.spec.runtime.name, keys::RUNTIMES[0]),
            sandbox_image: or(file.spec.runtime.sandbox_image, &sandbox_image),
            registries: file.spec.runtime.registries,
        },
        manifests: file.spec.manifests.unwrap_or_default(),
        network_ports: file.spec.network_ports.unwrap_or_default(),
        budgets: file.spec.budgets,
        airgap: file.spec.airgap,
        report: file.spec.report,
        os: file.spec.os,
        pki_algorithm: or(file.spec.pki_algorithm, keys::ALGORITHM),
        pki_validity: or(file.spec.pki_validity, keys::VALIDITY),
        own_keys: file.spec.own_keys,
        pools,
        nodes,
    }
}

fn header(file: &written::Cluster, to: &mut Diagnostics) {
    let wanted = [
        ("apiVersion", &file.api_version, keys::API_VERSION),
        ("kind", &file.kind, keys::KIND),
    ];
    for (key, text, expected) in wanted {
        if let Some(text) = text
            && text.value != expected
        {
            let message = format!("`{key}` is not `{expected}`");
            to.report(Code::ApiVersion, text.span, message);
        }
    }
}

/// The endpoint of a cluster with one control plane is that control plane; of several, none is
/// the others' way in.
fn default_endpoint(nodes: &[Node]) -> Option<Text> {
    let mut control_planes = nodes.iter().filter(|node| node.is_control_plane());
    let (Some(only), None) = (control_planes.next(), control_planes.next()) else {
        return None;
    };
    let address = only.address.as_ref()?;
    let first = address.value.split(',').next().unwrap_or_default();
    let host = if first.contains(':') {
        format!("[{first}]")
    } else {
        first.to_owned()
    };
    Some(Spanned::new(
        format!("{host}:{DEFAULT_API_PORT}"),
        address.span,
    ))
}

fn node(file: written::Node, pools: &[written::Pool], to: &mut Diagnostics) -> Node {
    let pool = file.pool.as_ref().and_then(|name| {
        let named = |pool: &written::Pool| pool.name.as_ref().map(|it| it.value.clone());
        let found = pools
            .iter()
            .position(|pool| named(pool).as_deref() == Some(&name.value));
        if found.is_none() {
            let known: Vec<_> = pools.iter().filter_map(named).collect();
            let message = format!("there is no pool `{}`", name.value);
            let help = yaml::suggest(&name.value, known.iter().map(String::as_str));
            to.report_with_help(Code::UnknownPool, name.span, message, help);
        }
        found
    });
    let pools_role = pool.and_then(|pool| pools.get(pool)?.settings.role.clone());
    let role = file.settings.role.clone().or(pools_role);
    if let (Some(name), Some(_), None) = (&file.pool, pool, &role) {
        let message = "neither this node nor its pool has a `role`";
        to.report(Code::MissingKey, name.span, message);
    }
    Node {
        name: file.name,
        role,
        pool,
        address: file.address,
        mac: file.mac,
        interfaces: file.interfaces.unwrap_or_default(),
        settings: file.settings,
    }
}
