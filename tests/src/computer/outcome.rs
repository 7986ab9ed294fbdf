//! What a computer reports on its console when Ignition cannot use its config, as rows of a table.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::Computer;
use crate::web::WebServer;

/// How many seconds after Ignition's error a report may be on the console.
const LATE: f64 = 10.0;

/// Kernel arguments that show Ignition's errors on the console, with the guest's own time. The kernel writes only
/// some lines of each program otherwise.
pub const MEASURED: &str = "systemd.journald.forward_to_kmsg=1 systemd.journald.max_level_kmsg=info loglevel=7 \
                        printk.devkmsg=on";

/// What a report begins with, on the console.
const FAILED: &str = "nkd: Ignition failed in the stage ";
const WAITS: &str = "nkd: Ignition waits ";
const CONTINUES: &str = "nkd: Ignition continues without a config ";

/// What Ignition logs when it does not ask again.
const FINAL: [&str; 2] = ["Ignition failed: ", "provider config was empty"];

/// A config that is not JSON.
pub const INVALID: &str = "{ \"ignition\" }";

/// A config that names another file of the lab's web server by the hash of none.
pub fn wrong_pointer() -> String {
    let source = json!({
        "source": format!("{}/other", WebServer::url()),
        "verification": { "hash": format!("sha256-{}", "0".repeat(64)) },
    });
    json!({ "ignition": { "version": "3.3.0", "config": { "replace": source } } }).to_string()
}

/// A config that a computer cannot use, and the cause that it has to report.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// How the computer gets the config.
    pub carrier: &'static str,
    /// What is wrong.
    pub problem: &'static str,
    /// The cause, without `ignition.`.
    pub cause: &'static str,
}

/// What a computer has reported.
#[derive(Debug)]
pub struct Outcome {
    row: Row,
    /// The first report on the console.
    pub report: Report,
    seconds_after_power_on: u64,
    /// From the first error that Ignition has logged to the report, in the guest's time.
    pub seconds_after_error: f64,
}

/// A report on the console.
#[derive(Debug)]
pub struct Report {
    /// When the kernel printed it.
    pub seconds: f64,
    /// Whether Ignition tries again.
    pub waits: bool,
    /// The cause, without `ignition.`.
    pub cause: String,
    /// What follows the cause.
    pub message: String,
}

impl Row {
    /// Powers a computer on, which has the config already, and waits until it reports the cause. The computer stays
    /// on. A computer without a disk gets the arguments [`MEASURED`] from its boot server.
    ///
    /// # Errors
    /// The report has another cause, or was late.
    pub fn observe(self, computer: &Computer, patience: Duration) -> Result<Outcome> {
        if computer.has_disk() && !computer.kernel_arguments()?.contains(MEASURED) {
            computer.add_kernel_arguments(MEASURED)?;
        }
        let earlier = computer.console().len();
        let this_boot = || computer.console().split_off(earlier);
        let start = Instant::now();
        computer.power_on()?;
        let reported = || !reports(&this_boot()).is_empty();
        let what = format!("a report for {self:?}");
        computer.wait_for(&what, patience, reported)?;
        let seconds_after_power_on = start.elapsed().as_secs();
        let console = this_boot();
        let report = reports(&console).into_iter().next().context(what)?;
        ensure!(
            report.cause == self.cause,
            "{self:?}, but the report is: {report:?}\n{console}"
        );
        let error = error(&console, &report)
            .with_context(|| format!("no error before {report:?}\n{console}"))?;
        let outcome = Outcome {
            row: self,
            seconds_after_power_on,
            seconds_after_error: report.seconds - error,
            report,
        };
        ensure!(
            outcome.seconds_after_error < LATE,
            "late: {outcome}\n{console}"
        );
        Ok(outcome)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row {
            carrier,
            problem,
            cause,
        } = self.row;
        let (on, error) = (self.seconds_after_power_on, self.seconds_after_error);
        let message = &self.report.message;
        write!(
            to,
            "| {carrier} | {problem} | {cause} | {on} | {error:.1} | {message} |"
        )
    }
}

/// All reports on a console, in order.
pub fn reports(console: &str) -> Vec<Report> {
    console.lines().filter_map(report).collect()
}

fn report(line: &str) -> Option<Report> {
    let (seconds, text) = stamped(line)?;
    let waits = text.starts_with(WAITS);
    if !waits && !text.starts_with(FAILED) && !text.starts_with(CONTINUES) {
        return None;
    }
    let (_, rest) = text.split_once("[ignition.")?;
    let (cause, message) = rest.split_once("]. ")?;
    Some(Report {
        seconds,
        waits,
        cause: cause.to_owned(),
        message: message.to_owned(),
    })
}

/// When Ignition logged the first error of those that a report is about. If Ignition got an answer without a config
/// and waits for a CD, there is no error but this answer.
fn error(console: &str, report: &Report) -> Option<f64> {
    let mut words = report.message.split_whitespace();
    let server = words.find(|word| word.starts_with("http")).unwrap_or("");
    let server = server.trim_end_matches('.');
    let is_meant = |text: &str| {
        let failed = FINAL.iter().any(|words| text.contains(words));
        let has_no_config = report.cause == "no-config" && text.ends_with("GET result: OK");
        let lacks_answer = text.contains(" error: ") && text.contains(server);
        failed || report.waits && (lacks_answer || has_no_config)
    };
    let mut lines = console.lines().filter_map(stamped);
    let (seconds, _) = lines.find(|(_, text)| text.starts_with("ignition[") && is_meant(text))?;
    Some(seconds)
}

/// The kernel's time of a line, and its text. What systemd shows about a job that runs, such as `[ *** ] A start job is
/// running`, may be on the same line before it.
fn stamped(line: &str) -> Option<(f64, &str)> {
    let mut rest = line
        .split_inclusive('[')
        .map(str::len)
        .scan(0, |end, part| {
            *end += part;
            line.get(*end..)
        });
    rest.find_map(|rest| {
        let (seconds, text) = rest.split_once("] ")?;
        Some((seconds.trim().parse().ok()?, text.trim_end()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONSOLE: &str = "\
BdsDxe: starting Boot0001
[    9.25] ignition[310]: GET error: Get \"http://10.0.0.9/a\": dial tcp: no route to host
[   10.50] ignition[310]: GET error: Get \"https://10.0.0.1/a\": dial tcp: connection refused
\x1b[K[***   ] A start job is running for Ignition (fetch)[   13.00] nkd: Ignition waits and tries again [ignition.unreachable]. https://10.0.0.1 refuses connections. Check it.\r
[   20.00] ignition[310]: Ignition failed: resource not found
[   21.50] nkd: Ignition failed in the stage fetch [ignition.not-found]. Check the URL.
";
    const EMPTY: &str = "\
[   12.50] ignition[365]: GET http://169.254.169.254/userData: attempt #1
[   13.00] ignition[365]: GET result: OK
[   18.00] nkd: Ignition waits for a CD [ignition.no-config]. http://169.254.169.254 has no config for this machine.
";

    #[test]
    #[allow(clippy::float_cmp)]
    fn a_console_has_reports_and_the_errors_that_they_are_about() {
        let found = reports(CONSOLE);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].waits && found[0].cause == "unreachable");
        assert_eq!(error(CONSOLE, &found[0]), Some(10.5));
        assert!(!found[1].waits && found[1].cause == "not-found");
        assert_eq!(found[1].seconds, 21.5);
        assert_eq!(error(CONSOLE, &found[1]), Some(20.0));
        let found = reports(EMPTY);
        assert_eq!(error(EMPTY, &found[0]), Some(13.0));
    }
}
