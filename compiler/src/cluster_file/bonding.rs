//! The options of bonds, as the kernel's bonding driver and `NetworkManager` accept them (Linux,
//! "Ethernet Bonding Driver HOWTO"; `nm-settings-keyfile(5)`). `NetworkManager` ignores an option that it
//! does not accept, or rejects the whole connection.

use schemars::JsonSchema;
use serde::Deserialize;

use super::checks;
use nkd_document::yaml::{Pairs, suggest};
use nkd_document::{Code, Diagnostics, Spanned};

/// Modes of bonds
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "BondMode")]
pub enum Mode {
    /// One member is active; another one takes over when it fails.
    ActiveBackup,
    /// LACP. The switch must be configured for it.
    #[serde(rename = "802.3ad")]
    Lacp,
    /// One packet after another over all members.
    BalanceRr,
    /// A hash of the addresses chooses the member.
    BalanceXor,
    /// Every packet over all members.
    Broadcast,
    /// Outgoing packets are distributed by load.
    BalanceTlb,
    /// Packets in both directions are distributed by load.
    BalanceAlb,
}

impl Mode {
    /// The mode's name in the kernel and in the cluster file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ActiveBackup => "active-backup",
            Self::Lacp => "802.3ad",
            Self::BalanceRr => "balance-rr",
            Self::BalanceXor => "balance-xor",
            Self::Broadcast => "broadcast",
            Self::BalanceTlb => "balance-tlb",
            Self::BalanceAlb => "balance-alb",
        }
    }
}

/// What an option accepts.
enum Values {
    /// A number in a range.
    Number(u64, u64),
    /// One of these words, or its index.
    Words(&'static [&'static str]),
    /// IPv4 addresses, separated by commas.
    Ipv4,
    /// A MAC address.
    Mac,
    /// The name of an interface.
    Interface,
}

const LARGEST: u64 = 2_147_483_647;
const TIME: Values = Values::Number(0, LARGEST);
const SWITCH: Values = Values::Number(0, 1);
const COUNT: Values = Values::Number(0, 255);

/// The options except `mode`.
const OPTIONS: [(&str, Values); 26] = [
    ("ad_actor_sys_prio", Values::Number(1, 65_535)),
    ("ad_actor_system", Values::Mac),
    (
        "ad_select",
        Values::Words(&["stable", "bandwidth", "count"]),
    ),
    ("ad_user_port_key", Values::Number(0, 1023)),
    ("all_slaves_active", SWITCH),
    ("arp_all_targets", Values::Words(&["any", "all"])),
    ("arp_interval", TIME),
    ("arp_ip_target", Values::Ipv4),
    (
        "arp_validate",
        Values::Words(&[
            "none",
            "active",
            "backup",
            "all",
            "filter",
            "filter_active",
            "filter_backup",
        ]),
    ),
    ("downdelay", TIME),
    (
        "fail_over_mac",
        Values::Words(&["none", "active", "follow"]),
    ),
    ("lacp_rate", Values::Words(&["slow", "fast"])),
    ("lp_interval", Values::Number(1, LARGEST)),
    ("miimon", TIME),
    ("min_links", Values::Number(0, LARGEST)),
    ("num_grat_arp", COUNT),
    ("num_unsol_na", COUNT),
    ("packets_per_slave", Values::Number(0, 65_535)),
    ("peer_notif_delay", TIME),
    ("primary", Values::Interface),
    (
        "primary_reselect",
        Values::Words(&["always", "better", "failure"]),
    ),
    ("resend_igmp", COUNT),
    ("tlb_dynamic_lb", SWITCH),
    ("updelay", TIME),
    ("use_carrier", SWITCH),
    (
        "xmit_hash_policy",
        Values::Words(&[
            "layer2",
            "layer3+4",
            "layer2+3",
            "encap2+3",
            "encap3+4",
            "vlan+srcmac",
        ]),
    ),
];

/// The options that only some modes have.
const OF_MODES: [(&str, &[Mode]); 3] = [
    (
        "arp_interval",
        &[
            Mode::ActiveBackup,
            Mode::BalanceRr,
            Mode::BalanceXor,
            Mode::Broadcast,
        ],
    ),
    ("lacp_rate", &[Mode::Lacp]),
    (
        "primary",
        &[Mode::ActiveBackup, Mode::BalanceTlb, Mode::BalanceAlb],
    ),
];

/// Checks the options, and returns them with `mode` and the monitoring of links.
pub fn options(mode: Mode, written: &Pairs, to: &mut Diagnostics) -> Vec<(String, String)> {
    for (name, value) in &written.0 {
        option(mode, name, value, to);
    }
    together(written, to);
    let is_set = |wanted: &str| written.0.iter().any(|(name, _)| name.value == wanted);
    let mut options = vec![("mode".to_owned(), mode.name().to_owned())];
    // Without any monitoring, some modes never notice that a link is down.
    if !is_set("miimon") && !is_set("arp_interval") {
        options.push(("miimon".to_owned(), "100".to_owned()));
    }
    let written = written.0.iter();
    options.extend(written.map(|(name, value)| (name.value.clone(), value.value.clone())));
    options
}

fn option(mode: Mode, name: &Spanned<String>, value: &Spanned<String>, to: &mut Diagnostics) {
    let known = OPTIONS.iter().find(|(known, _)| *known == name.value);
    let Some((_, values)) = known else {
        let message = format!("`{}` is not an option of a bond", name.value);
        let names = OPTIONS.iter().map(|(name, _)| *name);
        let help = match name.value.as_str() {
            "mode" => "use the key `mode` of the bond".to_owned(),
            text => suggest(text, names),
        };
        to.report_with_help(Code::Bond, name.span, message, help);
        return;
    };
    if let Some(problem) = values.problem(&value.value) {
        let message = format!("`{}` {problem}", name.value);
        let help = "correct the value; numbers need quotes, such as \"100\"";
        to.report_with_help(Code::Bond, value.span, message, help);
    }
    let of_modes = OF_MODES.iter().find(|(option, _)| *option == name.value);
    if let Some((_, modes)) = of_modes
        && !modes.contains(&mode)
    {
        let names: Vec<_> = modes.iter().map(|mode| mode.name()).collect();
        let message = format!(
            "a bond with the mode {} has no `{}`",
            mode.name(),
            name.value
        );
        let help = format!("remove the option, or use the mode {}", names.join(" or "));
        to.report_with_help(Code::Bond, name.span, message, help);
    }
}

impl Values {
    /// What is wrong with a value.
    fn problem(&self, text: &str) -> Option<String> {
        let is_in = |first: u64, last: u64| {
            text.parse()
                .is_ok_and(|number: u64| (first..=last).contains(&number))
        };
        match self {
            Self::Number(first, last) => {
                (!is_in(*first, *last)).then(|| format!("must be a number from {first} to {last}"))
            }
            Self::Words(words) => {
                let good = words.contains(&text) || is_in(0, words.len() as u64 - 1);
                (!good).then(|| format!("must be one of {}", words.join(", ")))
            }
            Self::Ipv4 => {
                let mut addresses = text.split(',');
                let good = addresses.all(|one| one.parse::<std::net::Ipv4Addr>().is_ok());
                (!good).then(|| "must be IPv4 addresses, separated by commas".to_owned())
            }
            Self::Mac => {
                (!checks::is_mac(text)).then(|| "must be a MAC address of one machine".to_owned())
            }
            Self::Interface => (!checks::is_interface(text))
                .then(|| "must be the name of a member of the bond".to_owned()),
        }
    }
}

/// The two ways in which a bond notices that a link is down exclude each other, and one needs addresses.
fn together(written: &Pairs, to: &mut Diagnostics) {
    let set = |wanted: &str| {
        let mut options = written.0.iter();
        options.find(|(name, value)| name.value == wanted && value.value != "0")
    };
    let (mii, arp, targets) = (set("miimon"), set("arp_interval"), set("arp_ip_target"));
    let (span, message) = match (mii, arp, targets) {
        (Some(_), Some((arp, _)), _) => {
            (arp.span, "`miimon` and `arp_interval` exclude each other")
        }
        (_, Some((arp, _)), None) => (arp.span, "`arp_interval` requires `arp_ip_target`"),
        (_, None, Some((targets, _))) => (targets.span, "`arp_ip_target` requires `arp_interval`"),
        _ => return,
    };
    let help = "set either `miimon`, or both `arp_interval` and `arp_ip_target`";
    to.report_with_help(Code::Bond, span, message, help);
}
