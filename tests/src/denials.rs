//! What `SELinux` has denied on a computer, from its journal.

use std::collections::BTreeMap;
use std::fmt;

/// What begins a denial of the kernel (AVC) or of a program such as systemd (`USER_AVC`), before the permissions.
const DENIED: &str = "avc:  denied  { ";

/// One kind of denial. Denials that only differ in their process, or in their object of the same type, are of one kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Denial {
    /// The type of the process.
    pub source: String,
    /// The type of the object.
    pub target: String,
    /// The class of the object, such as `file`.
    pub class: String,
    /// What the process may not do.
    pub permissions: String,
    /// The name of the process.
    pub program: String,
}

/// All denials by their kinds, each with how many there were and the first line.
#[derive(Debug, Default)]
pub struct Denials(BTreeMap<Denial, (usize, String)>);

impl Denials {
    /// Finds denials in the text of a journal.
    pub fn in_journal(journal: &str) -> Self {
        let mut denials = Self::default();
        let parsed = journal
            .lines()
            .filter_map(|line| Some((Denial::parse(line)?, line)));
        for (denial, line) in parsed {
            let (count, _) = denials.0.entry(denial).or_insert((0, line.to_owned()));
            *count += 1;
        }
        denials
    }

    /// Takes out the kinds of which something is true.
    #[must_use]
    pub fn take(&mut self, is_taken: impl Fn(&Denial) -> bool) -> Self {
        let all = std::mem::take(&mut self.0).into_iter();
        let (taken, left) = all.partition(|(denial, _)| is_taken(denial));
        self.0 = left;
        Self(taken)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Denials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (denial, (count, line)) in &self.0 {
            let Denial {
                source,
                target,
                class,
                permissions,
                program,
            } = denial;
            writeln!(
                f,
                "{count} x {source} {target}:{class} {{ {permissions} }} by {program}"
            )?;
            writeln!(f, "    {line}")?;
        }
        Ok(())
    }
}

impl Denial {
    fn parse(line: &str) -> Option<Self> {
        let (_, denied) = line.split_once(DENIED)?;
        let (permissions, fields) = denied.split_once(" }")?;
        let field = |name: &str| {
            let mut values = fields
                .split([' ', '\''])
                .filter_map(|field| field.strip_prefix(name)?.strip_prefix('='));
            Some(values.next()?.trim_matches('"').to_owned())
        };
        // user:role:type:level
        let type_of = |name: &str| Some(field(name)?.split(':').nth(2)?.to_owned());
        let program = field("comm").or_else(|| field("exe"));
        Some(Self {
            source: type_of("scontext")?,
            target: type_of("tcontext")?,
            class: field("tclass")?,
            permissions: permissions.to_owned(),
            program: program.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOURNAL: &str = "\
AVC avc:  denied  { read open } for  pid=301 comm=\"ip\" path=\"/run/x\" dev=\"tmpfs\" ino=9 \
scontext=system_u:system_r:ifconfig_t:s0 tcontext=system_u:object_r:tmpfs_t:s0 tclass=file permissive=0
audit: type=1400 audit(1.1:5): avc:  denied  { read open } for  pid=302 comm=\"ip\" path=\"/run/y\" \
scontext=system_u:system_r:ifconfig_t:s0 tcontext=system_u:object_r:tmpfs_t:s0 tclass=file permissive=0
USER_AVC pid=1 uid=0 msg='avc:  denied  { status } for auid=n/a uid=0 \
scontext=system_u:system_r:udev_t:s0 tcontext=system_u:object_r:init_t:s0 tclass=service permissive=0 exe=\"/x\"'
AVC apparmor=\"DENIED\"
";

    #[test]
    fn denials_are_counted_by_kind() {
        let mut denials = Denials::in_journal(JOURNAL);
        let of_ip = denials.take(|denial| denial.program == "ip");
        assert!(
            of_ip
                .to_string()
                .starts_with("2 x ifconfig_t tmpfs_t:file { read open } by ip\n")
        );
        assert!(
            denials
                .to_string()
                .starts_with("1 x udev_t init_t:service { status } by /x\n")
        );
        assert!(!denials.is_empty());
    }
}
