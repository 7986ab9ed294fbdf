//! What the items of a config's lists are called.

/// A list whose items have names of their own.
pub struct List {
    /// The mapping that holds the list.
    pub section: &'static str,
    /// The key of the list.
    pub name: &'static str,
    /// The field that tells items apart; items without fields are texts.
    pub field: Option<&'static str>,
    /// What an item is.
    pub kind: &'static str,
}

const fn list(
    section: &'static str,
    name: &'static str,
    field: Option<&'static str>,
    kind: &'static str,
) -> List {
    List {
        section,
        name,
        field,
        kind,
    }
}

/// The kind of the arguments that the kernel is booted with.
pub const KERNEL_ARGUMENT: &str = "kernel argument";
/// The kind of a user.
pub const USER: &str = "user";

/// All such lists, units excepted, which hold drop-ins.
pub const LISTS: [List; 11] = [
    list("kernelArguments", "shouldExist", None, KERNEL_ARGUMENT),
    list(
        "kernelArguments",
        "shouldNotExist",
        None,
        "removed kernel argument",
    ),
    list("passwd", "groups", Some("name"), "group"),
    list("passwd", "users", Some("name"), USER),
    list("storage", "directories", Some("path"), "directory"),
    list("storage", "disks", Some("device"), "disk"),
    list("storage", "files", Some("path"), "file"),
    list("storage", "filesystems", Some("device"), "filesystem"),
    list("storage", "links", Some("path"), "link"),
    list("storage", "luks", Some("name"), "encrypted device"),
    list("storage", "raid", Some("name"), "RAID"),
];

/// What an item is called, unlike all others of a config: its path, or its kind and name.
pub fn id(kind: &str, name: &str) -> String {
    match kind {
        "directory" | "file" | "link" | "unit" | "drop-in" => name.to_owned(),
        _ => format!("{kind} {name}"),
    }
}
