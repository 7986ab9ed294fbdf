//! The logger: writes to journald with structured fields, or plain lines for people.

use std::sync::{Mutex, PoisonError};

use log::kv::{Error, Key, Source, Value, VisitSource};
use log::{LevelFilter, Log, Metadata, Record};
use systemd_journal_logger::{JournalLog, connected_to_journal};

/// Fields that are added to every record, such as the running stage.
static CONTEXT: Mutex<Vec<(&'static str, String)>> = Mutex::new(Vec::new());

/// Sends all log records to journald, or to standard error if it is not connected to the journal.
///
/// # Errors
/// The socket of journald cannot be used.
pub(crate) fn init(identifier: &str) -> anyhow::Result<()> {
    let journal = if connected_to_journal() {
        Some(JournalLog::empty()?.with_syslog_identifier(identifier.to_owned()))
    } else {
        None
    };
    log::set_boxed_logger(Box::new(Logger { journal }))?;
    log::set_max_level(LevelFilter::Info);
    Ok(())
}

/// Sets a field that is added to every record from now on. An empty value removes the field.
pub(crate) fn set_field(name: &'static str, value: impl Into<String>) {
    let value = value.into();
    let mut context = CONTEXT.lock().unwrap_or_else(PoisonError::into_inner);
    context.retain(|(other, _)| *other != name);
    if !value.is_empty() {
        context.push((name, value));
    }
}

struct Logger {
    journal: Option<JournalLog>,
}

impl Log for Logger {
    fn enabled(&self, _: &Metadata) -> bool {
        true
    }

    fn log(&self, record: &Record) {
        let Some(journal) = &self.journal else {
            eprintln!("{}", record.args());
            return;
        };
        let context = CONTEXT.lock().unwrap_or_else(PoisonError::into_inner);
        let fields = Fields {
            record: record.key_values(),
            context: &context,
        };
        // A failure can't be reported anywhere.
        let _ = journal.journal_send(&record.to_builder().key_values(&fields).build());
    }

    fn flush(&self) {}
}

/// A record's own fields and those of the context.
struct Fields<'a> {
    record: &'a dyn Source,
    context: &'a [(&'static str, String)],
}

impl Source for Fields<'_> {
    fn visit<'kvs>(&'kvs self, visitor: &mut dyn VisitSource<'kvs>) -> Result<(), Error> {
        self.record.visit(visitor)?;
        for (name, value) in self.context {
            visitor.visit_pair(Key::from_str(name), Value::from(value.as_str()))?;
        }
        Ok(())
    }
}
