//! Name constraints of an authority (RFC 5280, 4.2.1.10). Programs reject a certificate whose names do not
//! fit the constraints of the authority that signed it.

use std::net::IpAddr;

use x509_parser::extensions::{GeneralName, GeneralSubtree};

use super::own::{Chain, Problem};
use nkd_document::Code;

/// The problem of an authority that cannot sign certificates with all of these names and addresses. Only
/// the authority itself counts: nodes trust it, and do not look for its issuers.
pub fn problem(chain: &Chain, names: &[String]) -> Option<Problem> {
    let first = chain.certificates().next()?;
    let constraints = first.name_constraints().ok()??;
    let permitted = constraints.value.permitted_subtrees.as_deref();
    let permitted = permitted.unwrap_or_default();
    let excluded = constraints.value.excluded_subtrees.as_deref();
    let excluded = excluded.unwrap_or_default();
    let unsupported = permitted.iter().chain(excluded).find(|subtree| {
        use GeneralName::{DNSName, IPAddress, RFC822Name, URI};
        !matches!(
            subtree.base,
            DNSName(_) | IPAddress(_) | RFC822Name(_) | URI(_)
        )
    });
    if let Some(subtree) = unsupported.filter(|_| constraints.critical) {
        let constraint = shown(subtree);
        return Some(new(format!(
            "has the critical name constraint {constraint}, which Kubernetes does not support"
        )));
    }
    names.iter().find_map(|name| {
        if let Some(subtree) = excluded.iter().find(|subtree| is_in(name, subtree)) {
            let constraint = shown(subtree);
            return Some(new(format!(
                "has the name constraint {constraint}, which excludes `{name}` of this cluster"
            )));
        }
        let mut same_kind = permitted.iter().filter(|subtree| is_kind(name, subtree));
        let is_limited = same_kind.clone().next().is_some();
        if !is_limited || same_kind.any(|subtree| is_in(name, subtree)) {
            return None;
        }
        let all: Vec<String> = permitted
            .iter()
            .filter(|subtree| is_kind(name, subtree))
            .map(shown)
            .collect();
        Some(new(format!(
            "only permits names in {}, but certificates of this cluster contain `{name}`",
            all.join(", ")
        )))
    })
}

fn new(message: String) -> Problem {
    Problem::new(Code::NameConstraints, message)
}

/// Whether a constraint is about names of this kind.
fn is_kind(name: &str, subtree: &GeneralSubtree<'_>) -> bool {
    match subtree.base {
        GeneralName::DNSName(_) => name.parse::<IpAddr>().is_err(),
        GeneralName::IPAddress(_) => name.parse::<IpAddr>().is_ok(),
        _ => false,
    }
}

fn is_in(name: &str, subtree: &GeneralSubtree<'_>) -> bool {
    match (&subtree.base, name.parse()) {
        (GeneralName::DNSName(domain), Err(_)) => is_in_domain(name, domain),
        (GeneralName::IPAddress(network), Ok(address)) => is_in_network(address, network),
        _ => false,
    }
}

/// Whether a name is a domain or below it. Below a domain that begins with a dot, only longer names are.
fn is_in_domain(name: &str, domain: &str) -> bool {
    let (name, domain) = (name.to_ascii_lowercase(), domain.to_ascii_lowercase());
    let above = domain.strip_prefix('.').unwrap_or(&domain);
    domain.is_empty()
        || name == domain
        || name
            .strip_suffix(above)
            .is_some_and(|below| below.ends_with('.'))
}

/// Whether an address is in a network, which is an address and a mask of the same length.
fn is_in_network(address: IpAddr, network: &[u8]) -> bool {
    let bytes = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let (base, mask) = network.split_at(network.len() / 2);
    let mut bits = bytes.iter().zip(base).zip(mask);
    network.len() == 2 * bytes.len() && bits.all(|((byte, base), mask)| byte & mask == base & mask)
}

fn shown(subtree: &GeneralSubtree<'_>) -> String {
    match &subtree.base {
        GeneralName::DNSName(domain) => format!("`DNS:{domain}`"),
        GeneralName::IPAddress(network) => {
            let (base, mask) = network.split_at(network.len() / 2);
            let bits: u32 = mask.iter().map(|byte| byte.leading_ones()).sum();
            let address = <[u8; 4]>::try_from(base)
                .map(IpAddr::from)
                .or_else(|_| <[u8; 16]>::try_from(base).map(IpAddr::from));
            address.map_or_else(
                |_| "`IP`".to_owned(),
                |address| format!("`IP:{address}/{bits}`"),
            )
        }
        GeneralName::DirectoryName(_) => "`dirName`".to_owned(),
        _ => "of another kind".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use rcgen::{CertificateParams, CidrSubnet, GeneralSubtree, KeyPair, NameConstraints};

    use super::super::own::Chain;
    use super::{is_in_domain, is_in_network, problem};

    fn problem_of(constraints: NameConstraints, names: &[&str]) -> Option<String> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.name_constraints = Some(constraints);
        let pem = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let chain = Chain::read(&pem.pem()).ok().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        problem(&chain, &names).map(|problem| problem.message)
    }

    #[test]
    fn constraints_that_permit_all_names_are_no_problem() {
        let domain = |name: &str| GeneralSubtree::DnsName(name.to_owned());
        let network = |text| GeneralSubtree::IpAddress(CidrSubnet::from_str(text).unwrap());
        let constraints = || NameConstraints {
            permitted_subtrees: vec![domain("example.org"), network("10.0.0.0/8")],
            excluded_subtrees: vec![domain("test.example.org")],
        };
        let names = ["cp1.example.org", "10.200.0.11"];
        assert_eq!(problem_of(constraints(), &names), None);
        for (name, expected) in [
            ("kubernetes", "only permits names in `DNS:example.org`"),
            ("fd00::1", "only permits names in `IP:10.0.0.0/8`"),
            (
                "a.test.example.org",
                "`DNS:test.example.org`, which excludes",
            ),
        ] {
            let message = problem_of(constraints(), &[name]).unwrap();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn domains_contain_themselves_and_names_below_them() {
        for (name, domain) in [
            ("cp1", ""),
            ("example.org", "example.org"),
            ("a.Example.org", "example.org"),
            ("a.example.org", ".example.org"),
        ] {
            assert!(is_in_domain(name, domain), "{name} {domain}");
        }
        for (name, domain) in [
            ("badexample.org", "example.org"),
            ("example.org", ".example.org"),
            ("org", "example.org"),
        ] {
            assert!(!is_in_domain(name, domain), "{name} {domain}");
        }
    }

    #[test]
    fn networks_have_one_ip_version() {
        let network = [10, 200, 0, 0, 255, 255, 0, 0];
        let is_in = |text: &str| is_in_network(text.parse().unwrap(), &network);
        assert!(is_in("10.200.1.2"));
        assert!(!is_in("10.201.0.1"));
        assert!(!is_in("::ffff:10.200.1.2"));
        assert!(!is_in_network("10.200.0.1".parse().unwrap(), &[10]));
    }
}
