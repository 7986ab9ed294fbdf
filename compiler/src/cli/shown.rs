//! Progress of long work, on standard error.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::answer::report;
use crate::bundle::ProgressMonitor;

/// Shows lines, and on a terminal a progress bar. From then on, signals do not kill the process. They
/// end the work with an error, so that incomplete files are removed.
pub struct Shown {
    bar: ProgressBar,
    quiet: bool,
    stop: Arc<AtomicBool>,
}

impl Shown {
    /// Shows nothing if `quiet` is set.
    pub fn new(quiet: bool) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            // The second time it does kill.
            signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&stop))?;
            signal_hook::flag::register(signal, Arc::clone(&stop))?;
        }
        let bar = if quiet {
            ProgressBar::hidden()
        } else {
            ProgressBar::no_length()
        };
        let style = "{msg}: {bytes} of {total_bytes}, {percent} %";
        let bar = bar.with_style(ProgressStyle::with_template(style)?);
        Ok(Self { bar, quiet, stop })
    }
}

impl ProgressMonitor for Shown {
    fn say(&self, line: &str) {
        if !self.quiet {
            self.bar.suspend(|| report(format_args!("{line}\n")));
        }
    }

    fn begin(&self, what: &str, bytes: u64) {
        self.bar.reset();
        self.bar.set_length(bytes);
        self.bar.set_message(what.to_owned());
    }

    fn advance(&self, bytes: u64) -> io::Result<()> {
        self.bar.inc(bytes);
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("interrupted"));
        }
        Ok(())
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
