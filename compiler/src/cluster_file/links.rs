//! What the network interfaces of a node are, and how they depend on each other: bonds and their members,
//! VLANs and their parents.

use std::collections::{HashMap, HashSet};

use super::interfaces::{Bond, Interface, Vlan};
use super::{bonding, checks};
use nkd_document::{Code, Diagnostics, Spanned};
use nkd_model::{self as model, Link};

/// The beginnings of names that virtual interfaces have, with a number after it.
const VIRTUAL_NAMES: [&str; 5] = ["bond", "br", "bridge", "team", "vlan"];

/// Checks what the interfaces of a node are. Returns the link of each interface, `None` if it is not valid,
/// and the members of bonds that have no items of their own.
pub fn links(
    file: &[Interface],
    to: &mut Diagnostics,
) -> (Vec<Option<Link>>, Vec<model::Interface>) {
    let mut members = Members::default();
    for interface in file {
        if let (Some(name), Some(bond)) = (&interface.name, &interface.bond) {
            members.of_bond(name, bond, file, to);
        }
    }
    vlans(file, to);
    let links = file.iter().enumerate();
    let links = links.map(|(index, interface)| {
        let bond = members.declared.get(&index).cloned();
        link(interface, bond, to)
    });
    (links.collect(), members.further)
}

fn link(interface: &Interface, bond: Option<String>, to: &mut Diagnostics) -> Option<Link> {
    let mac = match &interface.mac {
        Some(text) => Some(checks::mac(text, to)?),
        None => None,
    };
    let kind = match (&interface.bond, &interface.vlan) {
        (Some(_), _) => Some((Code::Bond, "a bond")),
        (None, Some(_)) => Some((Code::Vlan, "a VLAN")),
        (None, None) => None,
    };
    if let (Some(text), Some((code, kind))) = (&interface.mac, kind) {
        let message = format!("`mac` only applies to Ethernet interfaces, but this is {kind}");
        let help = "remove `mac`, or set it on the Ethernet interface";
        to.report_with_help(code, text.span, message, help);
    }
    match (&interface.bond, &interface.vlan) {
        (Some(bond), None) => Some(Link::Bond {
            options: bonding::options(bond.mode.as_ref()?.value, &bond.options, to),
        }),
        (None, Some(vlan)) => Some(Link::Vlan {
            id: vlan.id.as_ref()?.value,
            parent: vlan.parent.as_ref()?.value.clone(),
        }),
        (Some(_), Some(_)) => {
            let name = interface.name.as_ref()?;
            let message = format!("`{}` is both a bond and a VLAN", name.value);
            let help =
                "use one item for the bond, and another one for the VLAN with the bond as `parent`";
            to.report_with_help(Code::Vlan, name.span, message, help);
            None
        }
        (None, None) => {
            let name = interface.name.as_ref()?;
            if has_virtual_name(&name.value) {
                let message = format!(
                    "`{}` is configured as an Ethernet interface of the machine; add `bond` or `vlan` if nkd is to \
                     create it, and configure other virtual interfaces in your own configs",
                    name.value
                );
                to.warn(Code::VirtualName, name.span, message);
            }
            Some(Link::Ethernet { mac, bond })
        }
    }
}

fn has_virtual_name(name: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let mut prefixes = VIRTUAL_NAMES.iter();
    prefixes.any(|prefix| name.strip_prefix(prefix).is_some_and(is_number))
        || name.rsplit_once('.').is_some_and(|(_, id)| is_number(id))
}

/// The members of all bonds of a node.
#[derive(Default)]
struct Members {
    /// The bond of each interface that is a member, by the interface's index.
    declared: HashMap<usize, String>,
    /// The members without items of their own.
    further: Vec<model::Interface>,
    /// The bond of each member without an item, by its name or MAC address.
    seen: HashMap<String, String>,
}

impl Members {
    fn of_bond(
        &mut self,
        bond_name: &Spanned<String>,
        bond: &Bond,
        file: &[Interface],
        to: &mut Diagnostics,
    ) {
        let bond_name_text = &bond_name.value;
        if bond.members.is_empty() {
            let message = format!("the bond `{bond_name_text}` has no members");
            to.report(Code::Bond, bond_name.span, message);
        }
        for text in &bond.members {
            let is_mac = checks::is_mac(&text.value);
            if !is_mac && !checks::is_interface(&text.value) {
                let message = format!("`{}` is not an interface name or a MAC address", text.value);
                to.report(Code::Bond, text.span, message);
                continue;
            }
            let declared = file.iter().position(|other| is_named(other, &text.value));
            let key = declared
                .and_then(|index| file[index].name.as_ref())
                .map_or_else(|| checks::plain_mac(&text.value), |name| name.value.clone());
            if let Some(other) = self.seen.insert(key, bond_name_text.clone()) {
                let message = format!("`{}` is already a member of `{other}`", text.value);
                to.report(Code::Bond, text.span, message);
                continue;
            }
            match declared.map(|index| (index, &file[index])) {
                Some((index, member)) => {
                    has_only_a_link(member, text, to);
                    self.declared.insert(index, bond_name_text.clone());
                }
                None => self
                    .further
                    .push(further(&text.value, is_mac, bond_name_text)),
            }
        }
    }
}

/// Whether an item has a name or a MAC address.
fn is_named(interface: &Interface, text: &str) -> bool {
    let has_name = interface
        .name
        .as_ref()
        .is_some_and(|name| name.value == text);
    let mac = interface.mac.as_ref();
    has_name || mac.is_some_and(|mac| checks::plain_mac(&mac.value) == checks::plain_mac(text))
}

/// A member of a bond without an item of its own.
fn further(text: &str, is_mac: bool, bond: &str) -> model::Interface {
    let mac = is_mac.then(|| checks::plain_mac(text));
    let name = match &mac {
        Some(mac) => format!("{bond}-{}", mac.replace(':', "")),
        None => text.to_owned(),
    };
    model::Interface {
        name,
        link: Link::Ethernet {
            mac,
            bond: Some(bond.to_owned()),
        },
        dhcp: false,
        addresses: Vec::new(),
        gateways: Vec::new(),
        routes: Vec::new(),
        dns: Vec::new(),
        search_domains: Vec::new(),
        mtu: None,
    }
}

/// Checks that a member of a bond is an Ethernet interface without settings that its bond has.
fn has_only_a_link(member: &Interface, text: &Spanned<String>, to: &mut Diagnostics) {
    if member.bond.is_some() || member.vlan.is_some() {
        let message = format!("`{}` is not an Ethernet interface", text.value);
        let help = "list Ethernet interfaces in `members`; a VLAN can have a bond as its `parent`";
        to.report_with_help(Code::Bond, text.span, message, help);
    }
    let lists = [&member.gateways, &member.dns, &member.search_domains];
    let texts = member.addresses.iter().chain(lists).flatten();
    let mut places = texts.map(|text| text.span).chain(
        member
            .routes
            .iter()
            .filter_map(|route| Some(route.destination.as_ref()?.span)),
    );
    if let Some(span) = places.next() {
        let message = format!(
            "`{}` is a member of a bond, which has the addresses instead",
            text.value
        );
        let help = "move the setting to the item of the bond";
        to.report_with_help(Code::Bond, span, message, help);
    }
}

/// Checks the VLANs of a node.
fn vlans(file: &[Interface], to: &mut Diagnostics) {
    let mut seen = HashSet::new();
    for (index, interface) in file.iter().enumerate() {
        let Some(Vlan {
            parent: Some(parent),
            id,
        }) = &interface.vlan
        else {
            continue;
        };
        if let Some(id) = id
            && !seen.insert((&parent.value, id.value))
        {
            let message = format!(
                "another VLAN of `{}` already has the id {}",
                parent.value, id.value
            );
            to.report(Code::Vlan, id.span, message);
        }
        let Some(carrier) = parent_of(file, index) else {
            let message = format!("no interface has the name `{}`", parent.value);
            let help = format!(
                "add `{{name: {}, addresses: []}}` to `interfaces`, with addresses if it has any",
                parent.value
            );
            to.report_with_help(Code::Vlan, parent.span, message, help);
            continue;
        };
        // Each circle is reported at its first item.
        let ancestors = ancestors(file, index);
        if ancestors.contains(&index) && ancestors.iter().all(|other| *other >= index) {
            let message = "the parents of this VLAN lead back to the VLAN itself";
            let help = "set `parent` of one of them to an Ethernet interface or a bond";
            to.report_with_help(Code::Vlan, parent.span, message, help);
        }
        if let Some(mtu) = &interface.mtu {
            let largest = file[carrier].mtu.as_ref().map_or(1500, |mtu| mtu.value);
            if mtu.value > largest {
                let message = format!(
                    "a VLAN cannot have a larger MTU than its parent; set `mtu` of `{}`, which is {largest}",
                    parent.value
                );
                to.warn(Code::Mtu, mtu.span, message);
            }
        }
    }
}

/// The index of the parent of a VLAN.
fn parent_of(file: &[Interface], index: usize) -> Option<usize> {
    let parent = file.get(index)?.vlan.as_ref()?.parent.as_ref()?;
    let is_parent = |other: &Interface| {
        other
            .name
            .as_ref()
            .is_some_and(|name| name.value == parent.value)
    };
    file.iter().position(is_parent)
}

/// The indexes of the parent of a VLAN, its parent, and so on, until one occurs again.
fn ancestors(file: &[Interface], index: usize) -> Vec<usize> {
    let mut ancestors = Vec::new();
    let mut next = parent_of(file, index);
    while let Some(parent) = next.filter(|parent| !ancestors.contains(parent)) {
        ancestors.push(parent);
        next = parent_of(file, parent);
    }
    ancestors
}
