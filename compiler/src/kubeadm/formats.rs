//! The formats of values in Kubernetes' configuration.

use std::time::Duration;

/// Whether a text is a quantity of Kubernetes that is not negative (apimachinery, `resource.Quantity`).
pub fn is_quantity(text: &str) -> bool {
    const SUFFIXES: [&str; 16] = [
        "", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei",
    ];
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, suffix) = text.split_at(end.unwrap_or(text.len()));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let exponent = suffix.strip_prefix(['e', 'E']).is_some_and(|exponent| {
        let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !unsigned.is_empty() && digits(unsigned)
    });
    !whole.is_empty()
        && digits(whole)
        && digits(fraction)
        && (SUFFIXES.contains(&suffix) || exponent)
}

/// Whether a text is a threshold of kubelet's eviction: a quantity, or a percentage (kubelet, `eviction.parseThresholdStatement`).
pub(super) fn is_threshold(text: &str) -> bool {
    match text.strip_suffix('%') {
        Some(number) => number
            .parse()
            .is_ok_and(|number: f64| (0.0..=100.0).contains(&number)),
        None => is_quantity(text),
    }
}

/// A duration that is not negative, as Go's `time.ParseDuration` reads it.
pub(super) fn duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 8] = [
        ("ns", 1e-9),
        ("us", 1e-6),
        ("\u{b5}s", 1e-6),
        ("\u{3bc}s", 1e-6),
        ("ms", 1e-3),
        ("s", 1.0),
        ("m", 60.0),
        ("h", 3600.0),
    ];
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    let mut seconds = 0.0;
    loop {
        let is_number = |c: char| c.is_ascii_digit() || c == '.';
        let unit_at = rest.find(|c| !is_number(c))?;
        let (number, after) = rest.split_at(unit_at);
        let end = after.find(is_number).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let (_, length) = UNITS.iter().find(|(name, _)| *name == unit)?;
        seconds += number.parse::<f64>().ok()? * length;
        if after.is_empty() {
            return Duration::try_from_secs_f64(seconds).ok();
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{duration, is_quantity, is_threshold};

    #[test]
    fn durations_are_those_of_go() {
        for (text, seconds) in [
            ("0", 0.0),
            ("1.5h", 5400.0),
            ("1m30s", 90.0),
            ("+100ms", 0.1),
        ] {
            assert_eq!(
                duration(text),
                Some(Duration::from_secs_f64(seconds)),
                "{text}"
            );
        }
        for bad in ["", "5", "1d", "-1s", "h", "1 m", "1h5", "."] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn thresholds_are_quantities_or_percentages() {
        for good in ["5%", "100Mi", "0%", "7.5%"] {
            assert!(is_threshold(good), "{good}");
        }
        for bad in ["", "%", "101%", "-5%", "5 %"] {
            assert!(!is_threshold(bad), "{bad}");
        }
    }

    #[test]
    fn quantities_are_those_of_kubernetes() {
        for good in ["0", "1", "500m", "1.5", "2Gi", "128Mi", "1e3", "1E-2", "1k"] {
            assert!(is_quantity(good), "{good}");
        }
        for bad in [
            "", "m", "-1", "1 Gi", "1gb", "1GB", "1..5", "1e", "two", "1.5.2",
        ] {
            assert!(!is_quantity(bad), "{bad}");
        }
    }
}
