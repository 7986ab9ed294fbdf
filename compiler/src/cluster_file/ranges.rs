//! Items of `spec.nodes` that stand for many nodes, such as `name: w[01-20]` with `address: 10.0.0.[11-30]`. The first
//! node gets the first number of each range in the item, the second node the second number, and so on.

use super::checks::{self, Text};
use super::nodes::{Node, NodeKeys};
use nkd_document::{Code, Diagnostics, Reported, Span, Spanned};
use nkd_model::lines::{Lines, level};

/// The most nodes that ranges stand for: the size of the largest cluster in docs/performance.md.
const MOST: u32 = 10_000;
/// The most digits of a number in a range.
const DIGITS: usize = 9;

/// Replaces the items that have ranges by the nodes that they stand for, also in the lines of the cluster file. All
/// nodes of an item have the positions of the item. An item whose ranges are wrong loses the keys that can have ranges.
pub fn expand(items: Vec<Node>, lines: &mut Lines, to: &mut Diagnostics) -> Vec<Node> {
    let mut nodes = Vec::with_capacity(items.len());
    let mut total = 0;
    for mut item in items {
        match count(&mut item.own, total, to) {
            Ok(None) => nodes.push(item),
            Ok(Some(count)) => {
                total += count;
                let all = (0..count).map(|index| nth(&item, index));
                let first = nodes.len();
                nodes.extend(all);
                let names = nodes.iter().skip(first);
                let names = names.filter_map(|node| node.own.name.as_ref());
                if let Some(name) = &item.own.name {
                    copy_lines(&name.value, names, lines);
                }
            }
            Err(Reported { .. }) => {
                item.own.name = None;
                item.own.address = None;
                item.own.interfaces.clear();
                nodes.push(item);
            }
        }
    }
    nodes
}

/// The texts of a node that can have ranges, with their keys.
fn texts(node: &mut NodeKeys) -> Vec<(&'static str, &mut Text)> {
    let mut texts = Vec::new();
    texts.extend(node.name.as_mut().map(|name| ("name", name)));
    let address = node.address.as_mut();
    texts.extend(address.map(|address| ("address", address)));
    let interfaces = node.interfaces.iter_mut();
    let addresses = interfaces.flat_map(|interface| interface.addresses.iter_mut().flatten());
    texts.extend(addresses.map(|address| ("interfaces[].addresses", address)));
    texts
}

/// A text of an item that can have ranges.
struct Found {
    key: &'static str,
    span: Span,
    /// The number of values of each range.
    counts: Vec<u32>,
}

/// How many nodes an item stands for, if it has a range. `total` is the number of nodes of the ranges before.
fn count(item: &mut NodeKeys, total: u32, to: &mut Diagnostics) -> Result<Option<u32>, Reported> {
    let before = to.len();
    let mut found = Vec::new();
    for (key, Spanned { value, span }) in texts(item) {
        match ranges(value) {
            Ok(ranges) => found.push(Found {
                key,
                span: *span,
                counts: ranges.iter().map(Range::count).collect(),
            }),
            Err(Problem { message, help }) => {
                to.report_with_help(Code::NodeRange, *span, message, help);
            }
        }
    }
    to.as_result_since(before)?;
    let mut with_ranges = found.iter().filter(|text| !text.counts.is_empty());
    let Some(first) = with_ranges.next() else {
        return Ok(None);
    };
    let wanted = first.counts.first().copied().unwrap_or(1);
    fit_together(item, &found, (first, wanted), to);
    if wanted > MOST - total {
        let message = format!("the ranges in `spec.nodes` stand for more than {MOST} nodes");
        let help = "use smaller ranges, or an open pool for any number of workers";
        to.report_with_help(Code::NodeRange, first.span, message, help);
    }
    to.as_result_since(before)?;
    for text in &found {
        to.share(text.span);
    }
    Ok(Some(wanted))
}

/// Reports ranges of an item that do not have as many values as the first, and what belongs to one node only.
fn fit_together(
    item: &NodeKeys,
    found: &[Found],
    (first, wanted): (&Found, u32),
    to: &mut Diagnostics,
) {
    let (line, _) = to.position(first.span);
    let of_first = format!("`{}` in line {line}", first.key);
    for text in found {
        let problem = match text.counts.iter().find(|count| **count != wanted) {
            Some(count) => format!("has a range of {count} values"),
            None if text.counts.is_empty() && wanted > 1 => "has no range".to_owned(),
            None => continue,
        };
        let message = format!(
            "`{}` {problem}, but {of_first} has a range of {wanted} values",
            text.key
        );
        let help = "give `name`, `address` and the `addresses` of interfaces ranges with the same number of values, or \
                    write several items";
        to.report_with_help(Code::NodeRange, text.span, message, help);
    }
    for mac in macs(item).filter(|_| wanted > 1) {
        let message = format!(
            "a MAC address belongs to one machine, but {of_first} stands for {wanted} nodes"
        );
        let help = "remove the MAC address, or write an item for each machine";
        to.report_with_help(Code::NodeRange, mac.span, message, help);
    }
}

/// The MAC addresses in an item.
fn macs(item: &NodeKeys) -> impl Iterator<Item = &Text> {
    let interfaces = item.interfaces.iter();
    let of_interfaces = interfaces.flat_map(|interface| {
        let members = interface.bond.iter().flat_map(|bond| &bond.members);
        let macs = members.filter(|member| checks::is_mac(&member.value));
        interface.mac.iter().chain(macs)
    });
    item.mac.iter().chain(of_interfaces)
}

/// One of the nodes that an item stands for.
fn nth(item: &Node, index: u32) -> Node {
    let mut node = item.clone();
    for (_, text) in texts(&mut node.own) {
        let ranges = ranges(&text.value).unwrap_or_default();
        for range in ranges.iter().rev() {
            let place = range.start..range.end;
            text.value.replace_range(place, &range.value(index));
        }
    }
    node
}

/// Gives each node the lines of the keys of its item.
fn copy_lines<'a>(item: &str, names: impl Iterator<Item = &'a Text>, lines: &mut Lines) {
    let item = level("nodes", item);
    let mut of_item = Vec::new();
    lines.retain(|key, line| match key.strip_prefix(&item) {
        Some(rest) => {
            of_item.push((rest.to_owned(), *line));
            false
        }
        None => true,
    });
    for name in names {
        let node = level("nodes", &name.value);
        let of_node = of_item.iter();
        lines.extend(of_node.map(|(rest, line)| (format!("{node}{rest}"), *line)));
    }
}

/// A range in a text.
struct Range {
    /// The place of the opening bracket in the text.
    start: usize,
    /// The place after the closing bracket.
    end: usize,
    first: u32,
    last: u32,
    /// The least number of digits of each value.
    width: usize,
}

impl Range {
    /// How many values the range has.
    fn count(&self) -> u32 {
        self.last - self.first + 1
    }

    fn value(&self, index: u32) -> String {
        format!("{:0width$}", self.first + index, width = self.width)
    }
}

/// What is wrong with a range.
#[derive(Debug)]
struct Problem {
    message: String,
    help: String,
}

/// The ranges in a text.
fn ranges(text: &str) -> Result<Vec<Range>, Problem> {
    let mut ranges = Vec::new();
    let mut from = 0;
    while let Some(start) = text[from..].find('[').map(|at| from + at) {
        let Some(length) = text[start..].find(']') else {
            return Err(Problem {
                message: format!("the bracket in `{text}` is not closed"),
                help: "write a range such as [01-20]".to_owned(),
            });
        };
        from = start + length + 1;
        let numbers = &text[start + 1..from - 1];
        // An IPv6 address in brackets is another mistake.
        if !numbers.contains(':') {
            ranges.push(range(numbers, start)?);
        }
    }
    Ok(ranges)
}

fn range(numbers: &str, start: usize) -> Result<Range, Problem> {
    let problem = |why: &str, help: String| Problem {
        message: format!("`[{numbers}]` {why}"),
        help,
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parts = numbers.split_once('-');
    let Some((low, high)) = parts.filter(|(low, high)| is_number(low) && is_number(high)) else {
        let help = "write the first and the last number, such as [01-20]".to_owned();
        return Err(problem("is not a range of two numbers", help));
    };
    let number = |text: &str| text.parse::<u32>().ok().filter(|_| text.len() <= DIGITS);
    let (Some(first), Some(last)) = (number(low), number(high)) else {
        let help = format!("use numbers with at most {DIGITS} digits");
        return Err(problem("has too many digits", help));
    };
    let is_padded = |text: &str| text.len() > 1 && text.starts_with('0');
    let has_zeros = is_padded(low) || is_padded(high);
    if has_zeros && low.len() != high.len() {
        let width = low.len().max(high.len());
        let help = format!(
            "write [{first:0width$}-{last:0width$}] for numbers with leading zeros, or [{first}-{last}] for numbers without"
        );
        return Err(problem(
            "has leading zeros, but numbers of different lengths",
            help,
        ));
    }
    if first > last {
        let help = format!("write the smaller number first: [{high}-{low}]");
        return Err(problem("ends before it begins", help));
    }
    Ok(Range {
        start,
        end: start + numbers.len() + 2,
        first,
        last,
        width: if has_zeros { low.len() } else { 1 },
    })
}

#[cfg(test)]
mod tests {
    use super::ranges;

    fn values(text: &str) -> Vec<String> {
        let ranges = ranges(text).unwrap();
        let range = &ranges[0];
        (0..range.count()).map(|index| range.value(index)).collect()
    }

    #[test]
    fn a_range_has_all_numbers_with_the_leading_zeros_that_are_written() {
        assert_eq!(values("w[08-11]"), ["08", "09", "10", "11"]);
        assert_eq!(values("w[8-11].a"), ["8", "9", "10", "11"]);
        assert_eq!(values("[00-01]"), ["00", "01"]);
        assert_eq!(values("[0-1]"), ["0", "1"]);
        assert_eq!(values("w[7-7]"), ["7"]);
    }

    #[test]
    fn a_text_can_have_several_ranges_or_none() {
        assert_eq!(ranges("10.0.0.[1-9],fd00::[1-9]").unwrap().len(), 2);
        assert!(ranges("w1").unwrap().is_empty());
        assert!(ranges("[fd00::1]").unwrap().is_empty());
    }

    #[test]
    fn what_is_not_a_range_is_refused() {
        for text in [
            "w[",
            "w[1-2",
            "w[]",
            "w[1]",
            "w[-]",
            "w[1-]",
            "w[-1]",
            "w[a-b]",
            "w[1,3]",
            "w[1-2-3]",
            "w[+1-2]",
            "w[ 1-2]",
            "w[20-01]",
            "w[2-1]",
            "w[1-010]",
            "w[01-100]",
            "w[001-10]",
            "w[1-9999999999]",
            "w[1-2][a]",
            "w[[1-2]]",
        ] {
            assert!(ranges(text).is_err(), "{text}");
        }
    }
}
