//! Why an attempt at a stage failed.

use std::fmt::{self, Display};

use nkd_contract::{Cause, Stage};

use crate::system::CommandError;

/// The prefixes of causes that every stage can report: those of the agent itself, of the plan, and of the
/// user's hooks.
const SHARED: [&str; 3] = ["agent", "plan", "hook"];

/// Why an attempt at a stage failed: one cause, and the errors that led to it.
#[derive(Debug)]
pub struct Fault {
    /// The cause, which determines whether another attempt can help.
    pub cause: Cause,
    /// The errors, the outermost first, without secrets.
    error: anyhow::Error,
}

impl Fault {
    /// A fault without an underlying error, with its message for people.
    pub(crate) fn new(cause: Cause, message: impl Into<String>) -> Self {
        let message: String = message.into();
        let error = anyhow::Error::msg(message);
        Self { cause, error }
    }

    /// The fault of an error.
    pub(crate) fn of(cause: Cause, error: impl Into<anyhow::Error>) -> Self {
        let error = error.into();
        Self { cause, error }
    }

    /// The fault of a failed command. A program that does not exist is always a fault of the OS image.
    pub(crate) fn of_command(cause: Cause, error: CommandError) -> Self {
        let cause = match error {
            CommandError::Missing { .. } => Cause::HostProgram,
            _ => cause,
        };
        Self::of(cause, error)
    }

    /// The same fault, with the action that failed.
    pub(crate) fn context(self, context: impl Display + Send + Sync + 'static) -> Self {
        let error = self.error.context(context);
        Self { error, ..self }
    }

    /// The same fault with this cause, for a stage that uses code of another stage. If the stage can
    /// report the fault's own cause, the cause is not changed.
    pub(crate) fn reported_by(self, stage: Stage, cause: Cause) -> Self {
        let cause = if can_report(stage, self.cause) {
            self.cause
        } else {
            cause
        };
        Self { cause, ..self }
    }

    /// All errors in one line, for people.
    pub fn message(&self) -> String {
        format!("{:#}", self.error)
    }
}

/// Turns the error of a result into a fault.
pub(crate) trait OrFault<T> {
    /// The result, whose error has this cause.
    fn or_fault(self, cause: Cause) -> Result<T, Fault>;
}

impl<T, E: Into<anyhow::Error>> OrFault<T> for Result<T, E> {
    fn or_fault(self, cause: Cause) -> Result<T, Fault> {
        self.map_err(|error| Fault::of(cause, error))
    }
}

/// Whether a stage can report a cause. The part of a cause before the dot is its stage. Every stage can
/// report the causes that begin with `agent.`, `plan.` and `hook.`, and `host.program-missing`, because
/// every stage runs programs of the OS image.
pub(crate) fn can_report(stage: Stage, cause: Cause) -> bool {
    let code = cause.code();
    let prefix = code.split_once('.').map_or(code, |(prefix, _)| prefix);
    prefix == stage.name() || SHARED.contains(&prefix) || cause == Cause::HostProgram
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#} [{}]", self.error, self.cause)
    }
}

impl std::error::Error for Fault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // The message has the whole chain already.
        None
    }
}

impl PartialEq for Fault {
    fn eq(&self, other: &Self) -> bool {
        self.cause == other.cause && self.message() == other.message()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use anyhow::Context as _;

    use super::*;

    #[test]
    fn a_fault_keeps_the_errors_that_led_to_it() {
        let read = || Err::<(), _>(io::Error::from(io::ErrorKind::NotFound)).context("/a/file");
        let fault = read().or_fault(Cause::ImagesSource).unwrap_err();
        let fault = fault.context("disk nkd");
        assert_eq!(fault.message(), "disk nkd: /a/file: entity not found");
        let error = fault.error.downcast_ref::<io::Error>().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_stage_that_uses_another_one_reports_the_causes_of_its_own_and_shared_ones() {
        let reported = |cause| {
            Fault::new(cause, "")
                .reported_by(Stage::Gate, Cause::GateToken)
                .cause
        };
        assert_eq!(reported(Cause::KubeadmFailed), Cause::GateToken);
        for kept in [Cause::GateNotReady, Cause::HostProgram, Cause::AgentState] {
            assert_eq!(reported(kept), kept);
        }
    }
}
