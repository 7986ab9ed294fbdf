//! A whole cluster, the way an operator makes one: a cluster file, `nkd compile`, one machine per
//! Ignition file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use crate::callbacks::CallbackReceiver;
use crate::ignition;
use crate::image::OsImage;
use crate::kubernetes::Kubernetes;
use crate::lab::Lab;
use crate::machine::Machine;
use crate::overlay::{self, Node};
use crate::programs::Programs;
use packages::command;

/// A cluster file that fits a lab, before it is compiled.
#[derive(Debug)]
pub struct ClusterFile {
    /// The document, for a test's own changes.
    pub document: Value,
    directory: PathBuf,
    computers: Vec<String>,
}

/// A compiled cluster.
#[derive(Debug, Clone)]
pub struct Cluster {
    out: PathBuf,
    nodes: Vec<ClusterNode>,
}

/// A node of a compiled cluster.
#[derive(Debug, Clone)]
pub struct ClusterNode {
    /// Its name.
    pub name: String,
    /// Its role, as in the cluster file.
    pub role: String,
    /// Its address in the lab.
    pub address: String,
}

impl ClusterFile {
    /// Takes an example and makes it fit: addresses of the lab, the Kubernetes under test with its
    /// images from the OS image, and the testbed's own Ignition files and kubeadm documents. Files
    /// next to the example are found as before.
    pub fn from_example(lab: &Lab, example: &Path, kubernetes: &Kubernetes) -> Result<Self> {
        let text = fs::read_to_string(example)
            .with_context(|| format!("can't read {}", example.display()))?;
        let document = serde_saphyr::from_str(&text)
            .with_context(|| format!("{} is not YAML", example.display()))?;
        let directory = lab.scratch("cluster")?;
        let neighbours = example.parent().unwrap_or(Path::new(".")).join(".");
        command::run("cp", [Path::new("-r"), &neighbours, &directory])?;
        let mut file = Self {
            document,
            directory,
            computers: Vec::new(),
        };
        file.fit(kubernetes)
            .with_context(|| format!("{} doesn't fit a lab", example.display()))?;
        Ok(file)
    }

    /// Sends callbacks to the receiver.
    pub fn report_to(&mut self, callbacks: &CallbackReceiver) -> Result<()> {
        self.add("callbacks-ca.pem", callbacks.ca_pem())?;
        let report = json!({ "url": callbacks.url(), "caFile": "callbacks-ca.pem" });
        map(&mut self.document["spec"])?.insert("report".into(), report);
        Ok(())
    }

    /// Has everybody reach the API at an address of the caller's instead of the control plane's.
    pub fn set_endpoint(&mut self, endpoint: &str) {
        self.document["spec"]["kubernetes"]["endpoint"] = json!(endpoint);
    }

    /// Gives the cluster IPv6 addresses, beside those of IPv4 or in their place.
    pub fn use_ipv6(&mut self, beside_ipv4: bool) -> Result<()> {
        let with = |ipv4: &str, ipv6: &str| {
            if beside_ipv4 {
                json!(format!("{ipv4},{ipv6}"))
            } else {
                json!(ipv6)
            }
        };
        for node in nodes_of(&mut self.document)? {
            let ipv4 = node["address"].as_str().unwrap_or_default().to_owned();
            let number = ipv4.rsplit('.').next().unwrap_or_default();
            node["address"] = with(&ipv4, &format!("fd00:200::{number}"));
        }
        let kubernetes = map(&mut self.document["spec"]["kubernetes"])?;
        // The address of the only control plane.
        kubernetes.remove("endpoint");
        let networking = map(kubernetes.entry("networking").or_insert(json!({})))?;
        let pods = with(overlay::POD_SUBNET, overlay::POD_SUBNET_IPV6);
        networking.insert("podSubnet".into(), pods);
        let services = with("10.96.0.0/16", "fd00:10:96::/112");
        networking.insert("serviceSubnet".into(), services);
        Ok(())
    }

    /// Adds a node to those of the example.
    pub fn add_node(&mut self, name: &str, role: &str) -> Result<()> {
        let nodes = nodes_of(&mut self.document)?;
        let mut node = json!({ "name": name, "role": role });
        settle(&mut node, nodes.len())?;
        nodes.push(node);
        Ok(())
    }

    /// Makes a node the config of a [`Computer`](crate::Computer), which needs less of the testbed.
    pub fn use_computer(&mut self, node: &str) {
        self.computers.push(node.to_owned());
    }

    /// Has the container runtime separate containers by `SELinux`.
    pub fn separate_containers(&mut self) {
        self.document["spec"]["os"]["selinux"] = json!("container-separation");
    }

    /// Adds an open pool. [`Cluster::pool_machine`] makes its machines.
    pub fn add_open_pool(&mut self, name: &str) -> Result<()> {
        let user = user_ignition_of(name);
        self.add(&user, &overlay::pool_ignition().to_string())?;
        let pool = json!({ "name": name, "open": true, "os": { "ignition": [user] } });
        list(map(&mut self.document["spec"])?, "pools")?.push(pool);
        Ok(())
    }

    /// Adds an Ignition file of the user to a node's.
    pub fn add_ignition(&mut self, node: &str, name: &str, config: &Value) -> Result<()> {
        self.add(name, &config.to_string())?;
        let mut nodes = nodes_of(&mut self.document)?.iter_mut();
        let node = nodes.find(|found| found["name"] == node);
        let os = &mut node.context("no such node")?["os"];
        list(map(os)?, "ignition")?.push(json!(name));
        Ok(())
    }

    /// Puts a file beside the cluster file, which can name it without a directory.
    pub fn add(&self, name: &str, text: &str) -> Result<()> {
        fs::write(self.directory.join(name), text).with_context(|| format!("can't write {name}"))
    }

    /// Says where the nodes' images come from: `spec.airgap`.
    pub fn set_images(&mut self, airgap: Value) {
        self.document["spec"]["airgap"] = airgap;
    }

    /// Chooses the container runtime and its registries: `spec.runtime`.
    pub fn set_runtime(&mut self, runtime: Value) {
        self.document["spec"]["runtime"] = runtime;
    }

    /// Makes an image bundle for it, beside it, as an operator would.
    pub fn bundle(
        &self,
        programs: &Programs,
        kubernetes: &Kubernetes,
        name: &str,
        options: &[&str],
    ) -> Result<PathBuf> {
        let bundle = self.directory.join(name);
        let mut create = Command::new(&programs.nkd);
        create.args(["bundle", "create"]).arg(self.write()?);
        create.args(kubernetes.image_archives());
        create.arg("--out").arg(&bundle).args(options);
        command::check(&mut create)?;
        Ok(bundle)
    }

    /// Writes it, with the files that it names, and returns its path.
    pub fn write(&self) -> Result<PathBuf> {
        self.add_user_ignition(&self.nodes()?)?;
        // JSON is YAML.
        let file = self.directory.join("testbed.yaml");
        fs::write(&file, serde_json::to_string_pretty(&self.document)?)?;
        Ok(file)
    }

    /// Compiles it into a directory next to it.
    pub fn compile(&self, programs: &Programs) -> Result<Cluster> {
        self.compile_with(programs, &[])
    }

    /// The same with further options of `nkd compile`.
    pub fn compile_with(&self, programs: &Programs, options: &[&str]) -> Result<Cluster> {
        let nodes = self.nodes()?;
        let file = self.write()?;
        let out = self.directory.join("out");
        command::check(
            Command::new(&programs.nkd)
                .arg("compile")
                .arg(&file)
                .arg("-o")
                .arg(&out)
                .args(options),
        )?;
        let cluster = Cluster { out, nodes };
        for node in &cluster.nodes {
            ignition::validate(&cluster.ignition(&node.name))?;
        }
        Ok(cluster)
    }

    fn fit(&mut self, kubernetes: &Kubernetes) -> Result<()> {
        for (number, node) in nodes_of(&mut self.document)?.iter_mut().enumerate() {
            settle(node, number)?;
        }
        let nodes = self.nodes()?;
        let first = nodes
            .iter()
            .find(|node| node.role == "control-plane")
            .context("there is no control plane")?;

        let spec = map(&mut self.document["spec"])?;
        let release = map(spec.entry("kubernetes").or_insert(json!({})))?;
        release.insert("version".into(), json!(kubernetes.version()));
        release.insert("endpoint".into(), json!(format!("{}:6443", first.address)));
        release.remove("imageRepository");
        let networking = map(release.entry("networking").or_insert(json!({})))?;
        networking.insert("podSubnet".into(), json!(overlay::POD_SUBNET));
        list(release, "kubeadm")?.push(json!("testbed-kubeadm.yaml"));
        if let Some(runtime) = spec.get_mut("runtime") {
            map(runtime)?.remove("sandboxImage");
        }
        spec.insert("airgap".into(), json!({ "images": OsImage::ARCHIVES }));

        self.add("testbed-kubeadm.yaml", &overlay::kubeadm())
    }

    /// Writes the Ignition files that the testbed has given its nodes.
    fn add_user_ignition(&self, nodes: &[ClusterNode]) -> Result<()> {
        let addresses: Vec<&str> = nodes.iter().map(|node| node.address.as_str()).collect();
        for ClusterNode { name, address, .. } in nodes {
            let nodes = &addresses;
            let node = Node { address, nodes };
            let user = if self.computers.contains(name) {
                overlay::computer_ignition(&node)
            } else {
                overlay::user_ignition(&node)
            };
            self.add(&user_ignition_of(name), &user.to_string())?;
        }
        Ok(())
    }

    fn nodes(&self) -> Result<Vec<ClusterNode>> {
        let text = |node: &Value, key: &str| {
            let value = node[key]
                .as_str()
                .with_context(|| format!("a node has no {key}"))?;
            anyhow::Ok(value.to_owned())
        };
        let spec = &self.document["spec"];
        let nodes = spec["nodes"].as_array().context("there are no nodes")?;
        let pool_of = |node: &Value| {
            let mut pools = spec["pools"].as_array()?.iter();
            pools.find(|pool| pool["name"] == node["pool"])
        };
        nodes
            .iter()
            .map(|node| {
                let role = text(node, "role");
                Ok(ClusterNode {
                    name: text(node, "name")?,
                    role: role.or_else(|error| text(pool_of(node).ok_or(error)?, "role"))?,
                    address: text(node, "address")?,
                })
            })
            .collect()
    }
}

impl Cluster {
    /// What `nkd compile` has written.
    pub fn out(&self) -> &Path {
        &self.out
    }

    /// The same cluster, compiled into another directory beside the output.
    #[must_use]
    pub fn in_output(&self, name: &str) -> Self {
        Self {
            out: self.out.with_file_name(name),
            nodes: self.nodes.clone(),
        }
    }

    /// Its nodes, as in the cluster file.
    pub fn nodes(&self) -> &[ClusterNode] {
        &self.nodes
    }

    /// A node's Ignition file.
    pub fn ignition(&self, node: &str) -> PathBuf {
        self.out.join("nodes").join(format!("{node}.ign"))
    }

    /// A node's file for a carrier with a limit, by the carrier's name in `nkd compile --target`.
    pub fn carried(&self, carrier: &str, node: &str) -> PathBuf {
        self.out.join(carrier).join(format!("{node}.ign"))
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.out.join("kubeconfig")
    }

    /// The machine of a node, not yet started.
    pub fn machine(&self, lab: &Lab, image: &OsImage, node: &str) -> Result<Machine> {
        lab.machine(image, node, &self.ignition(node))
    }

    /// A machine of an open pool, not yet started, with an address of the lab. The testbed writes the network
    /// configuration that a platform would give it.
    pub fn pool_machine(
        &self,
        lab: &Lab,
        image: &OsImage,
        pool: &str,
        (name, address): (&str, &str),
    ) -> Result<Machine> {
        let machine = lab.machine(image, name, &self.ignition(pool))?;
        let nodes: Vec<_> = self.nodes.iter().map(|node| &*node.address).collect();
        let node = Node {
            address,
            nodes: &nodes,
        };
        for (path, text) in overlay::own_files(&node) {
            let place = machine.root().join(path.trim_start_matches('/'));
            fs::create_dir_all(place.parent().unwrap_or(&place))?;
            machine.write(path, &text)?;
        }
        Ok(machine)
    }

    /// The machines of all nodes, not yet started, in the cluster file's order.
    pub fn machines(&self, lab: &Lab, image: &OsImage) -> Result<Vec<Machine>> {
        self.nodes
            .iter()
            .map(|node| self.machine(lab, image, &node.name))
            .collect()
    }

    /// The id of the boot in which a node is Ready, as the API has it, or none.
    pub fn ready_boot(&self, lab: &Lab, kubernetes: &Kubernetes, node: &str) -> Option<String> {
        let path = "--output=jsonpath={.status.nodeInfo.bootID} \
                    {.status.conditions[?(@.type==\"Ready\")].status}";
        let text = self.kubectl(lab, kubernetes, &["get", "node", node, path]);
        let text = text.ok()?;
        let (boot, status) = text.split_once(' ')?;
        (status == "True").then(|| boot.to_owned())
    }

    /// `kubectl` as the administrator runs it, beside the machines: standard output.
    pub fn kubectl(&self, lab: &Lab, kubernetes: &Kubernetes, words: &[&str]) -> Result<String> {
        let kubectl = kubernetes.program("kubectl");
        command::check(
            lab.host_command(&kubectl.to_string_lossy())
                .arg(format!("--kubeconfig={}", self.kubeconfig().display()))
                .arg("--request-timeout=5s")
                .args(words),
        )
    }
}

/// Gives a node, the one of this number, an address of the lab and the testbed's Ignition file.
fn settle(node: &mut Value, number: usize) -> Result<()> {
    let name = node["name"].as_str().context("a node has no name")?;
    let user = json!(user_ignition_of(name));
    node["address"] = json!(format!("10.200.0.{}", 11 + number));
    let os = map(node)?.entry("os").or_insert(json!({}));
    list(map(os)?, "ignition")?.push(user);
    Ok(())
}

fn user_ignition_of(node: &str) -> String {
    format!("testbed-{node}.ign")
}

fn map(value: &mut Value) -> Result<&mut Map<String, Value>> {
    if value.is_null() {
        *value = json!({});
    }
    value
        .as_object_mut()
        .context("a value that should be a mapping is none")
}

fn list<'a>(map: &'a mut Map<String, Value>, key: &str) -> Result<&'a mut Vec<Value>> {
    let list = map.entry(key).or_insert(json!([])).as_array_mut();
    list.with_context(|| format!("{key} should be a list"))
}

fn nodes_of(document: &mut Value) -> Result<&mut Vec<Value>> {
    match document["spec"]["nodes"].as_array_mut() {
        Some(nodes) if !nodes.is_empty() => Ok(nodes),
        _ => bail!("there are no nodes"),
    }
}
