//! Ignition's configuration specification, 3.0.0 to 3.6.0, as one table: every field, its type, the
//! version in which it was added, and how lists of it are merged. Reading, merging and the Butane
//! translation all follow this table. Source: Ignition's "Configuration Specifications" (config v3.0.0 to
//! v3.6.0), "Migrating Between Spec Versions" and "Operator Notes", section on merging.

/// The newest version that nkd reads: 3.6.0. It has the fields of 3.5.0.
pub const NEWEST: u8 = 6;

/// An object type.
#[derive(Debug)]
pub struct Object {
    /// The name of the type, for messages and for checks.
    pub name: &'static str,
    /// The fields, in the order in which they are written.
    pub fields: &'static [Field],
    /// The key that identifies an object in a list.
    pub key: Key,
    /// Fields whose lists share one key space: a path cannot be both a file and a link.
    pub shared: &'static [&'static str],
}

/// A field of an object.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// The field's name in Ignition.
    pub name: &'static str,
    /// The minor version in which the field was added: 1 for 3.1.0.
    pub since: u8,
    /// The type of the value.
    pub kind: Kind,
    /// Whether the field is required.
    pub needed: bool,
}

/// The type of a field's value.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Text.
    Text,
    /// A whole number.
    Whole,
    /// `true` or `false`.
    Bool,
    /// An object.
    Object(&'static Object),
    /// A list.
    List(Item, Joining),
}

/// The type of a list's items.
#[derive(Debug, Clone, Copy)]
pub enum Item {
    /// Text, which is also the key of the item.
    Text,
    /// Objects.
    Object(&'static Object),
}

/// How a child's list is merged into the parent's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joining {
    /// Items with the same key are merged, and others are appended.
    ByKey,
    /// All items are appended.
    Append,
}

/// The key of an object in a list.
#[derive(Debug, Clone, Copy)]
pub enum Key {
    /// No key: the objects are in no list.
    None,
    /// The value of this field.
    Field(&'static str),
    /// A partition's number, or its label when the number is 0 or absent.
    NumberOrLabel,
}

const fn field(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        since: 0,
        kind,
        needed: false,
    }
}

pub(crate) const fn text(name: &'static str) -> Field {
    field(name, Kind::Text)
}

pub(crate) const fn whole(name: &'static str) -> Field {
    field(name, Kind::Whole)
}

pub(crate) const fn boolean(name: &'static str) -> Field {
    field(name, Kind::Bool)
}

pub(crate) const fn object(name: &'static str, object: &'static Object) -> Field {
    field(name, Kind::Object(object))
}

pub(crate) const fn texts(name: &'static str) -> Field {
    field(name, Kind::List(Item::Text, Joining::ByKey))
}

pub(crate) const fn objects(name: &'static str, object: &'static Object) -> Field {
    field(name, Kind::List(Item::Object(object), Joining::ByKey))
}

impl Field {
    pub(crate) const fn since(mut self, minor: u8) -> Self {
        self.since = minor;
        self
    }

    pub(crate) const fn needed(mut self) -> Self {
        self.needed = true;
        self
    }

    const fn append(mut self) -> Self {
        if let Kind::List(item, _) = self.kind {
            self.kind = Kind::List(item, Joining::Append);
        }
        self
    }
}

impl Object {
    /// The field with this name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    pub(crate) const fn plain(name: &'static str, fields: &'static [Field]) -> Self {
        Self {
            name,
            fields,
            key: Key::None,
            shared: &[],
        }
    }

    pub(crate) const fn keyed(
        name: &'static str,
        key: &'static str,
        fields: &'static [Field],
    ) -> Self {
        Self {
            name,
            fields,
            key: Key::Field(key),
            shared: &[],
        }
    }
}

/// A whole config.
pub static CONFIG: Object = Object::plain(
    "config",
    &[
        object("ignition", &IGNITION).needed(),
        object("kernelArguments", &KERNEL_ARGUMENTS).since(3),
        object("passwd", &PASSWD),
        object("storage", &STORAGE),
        object("systemd", &SYSTEMD),
    ],
);

static IGNITION: Object = Object::plain(
    "ignition",
    &[
        object("config", &REFERENCES),
        object("proxy", &PROXY).since(1),
        object("security", &SECURITY),
        object("timeouts", &TIMEOUTS),
        text("version").needed(),
    ],
);
static REFERENCES: Object = Object::plain(
    "references",
    &[objects("merge", &REFERENCE), object("replace", &REFERENCE)],
);
static PROXY: Object = Object::plain(
    "proxy",
    &[text("httpProxy"), text("httpsProxy"), texts("noProxy")],
);
static SECURITY: Object = Object::plain("security", &[object("tls", &TLS)]);
static TLS: Object = Object::plain("tls", &[objects("certificateAuthorities", &REFERENCE)]);
static TIMEOUTS: Object = Object::plain(
    "timeouts",
    &[whole("httpResponseHeaders"), whole("httpTotal")],
);

/// A fetched resource. In 3.0.0, configs and certificate authorities could not be compressed.
static REFERENCE: Object = Object::keyed(
    "reference",
    "source",
    &[
        text("compression").since(1),
        objects("httpHeaders", &HEADER).since(1),
        text("source"),
        object("verification", &VERIFICATION),
    ],
);
static RESOURCE: Object = Object::keyed(
    "resource",
    "source",
    &[
        text("compression"),
        objects("httpHeaders", &HEADER).since(1),
        text("source"),
        object("verification", &VERIFICATION),
    ],
);
/// An HTTP header. In a merge, a child's header without a value removes the header.
pub(super) static HEADER: Object =
    Object::keyed("header", "name", &[text("name").needed(), text("value")]);
static VERIFICATION: Object = Object::plain("verification", &[text("hash")]);

static KERNEL_ARGUMENTS: Object = Object {
    name: "kernelArguments",
    fields: &[texts("shouldExist"), texts("shouldNotExist")],
    key: Key::None,
    shared: &["shouldExist", "shouldNotExist"],
};

static PASSWD: Object = Object::plain(
    "passwd",
    &[objects("groups", &GROUP), objects("users", &USER)],
);
static GROUP: Object = Object::keyed(
    "group",
    "name",
    &[
        whole("gid"),
        text("name").needed(),
        text("passwordHash"),
        boolean("shouldExist").since(2),
        boolean("system"),
    ],
);
static USER: Object = Object::keyed(
    "user",
    "name",
    &[
        text("gecos"),
        texts("groups"),
        text("homeDir"),
        text("name").needed(),
        boolean("noCreateHome"),
        boolean("noLogInit"),
        boolean("noUserGroup"),
        text("passwordHash"),
        text("primaryGroup"),
        text("shell"),
        boolean("shouldExist").since(2),
        texts("sshAuthorizedKeys"),
        boolean("system"),
        whole("uid"),
    ],
);

static STORAGE: Object = Object {
    name: "storage",
    fields: &[
        objects("directories", &DIRECTORY),
        objects("disks", &DISK),
        objects("files", &FILE),
        objects("filesystems", &FILESYSTEM),
        objects("links", &LINK),
        objects("luks", &LUKS).since(2),
        objects("raid", &RAID),
    ],
    key: Key::None,
    shared: &["directories", "files", "links"],
};
pub(crate) static OWNER: Object = Object::plain("owner", &[whole("id"), text("name")]);
static DIRECTORY: Object = Object::keyed(
    "directory",
    "path",
    &[
        object("group", &OWNER),
        whole("mode"),
        boolean("overwrite"),
        text("path").needed(),
        object("user", &OWNER),
    ],
);
static FILE: Object = Object::keyed(
    "file",
    "path",
    &[
        objects("append", &RESOURCE).append(),
        object("contents", &RESOURCE),
        object("group", &OWNER),
        whole("mode"),
        boolean("overwrite"),
        text("path").needed(),
        object("user", &OWNER),
    ],
);
static LINK: Object = Object::keyed(
    "link",
    "path",
    &[
        object("group", &OWNER),
        boolean("hard"),
        boolean("overwrite"),
        text("path").needed(),
        text("target"),
        object("user", &OWNER),
    ],
);
static DISK: Object = Object::keyed(
    "disk",
    "device",
    &[
        text("device").needed(),
        objects("partitions", &PARTITION),
        boolean("wipeTable"),
    ],
);
static PARTITION: Object = Object {
    name: "partition",
    fields: &[
        text("guid"),
        text("label"),
        whole("number"),
        boolean("resize").since(2),
        boolean("shouldExist"),
        whole("sizeMiB"),
        whole("startMiB"),
        text("typeGuid"),
        boolean("wipePartitionEntry"),
    ],
    key: Key::NumberOrLabel,
    shared: &[],
};
static RAID: Object = Object::keyed(
    "raid",
    "name",
    &[
        texts("devices"),
        text("level"),
        text("name").needed(),
        texts("options").append(),
        whole("spares"),
    ],
);
static FILESYSTEM: Object = Object::keyed(
    "filesystem",
    "device",
    &[
        text("device").needed(),
        text("format"),
        text("label"),
        texts("mountOptions").since(1).append(),
        texts("options").append(),
        text("path"),
        text("uuid"),
        boolean("wipeFilesystem"),
    ],
);
static LUKS: Object = Object::keyed(
    "luks",
    "name",
    &[
        object("cex", &CEX).since(5),
        object("clevis", &CLEVIS),
        text("device"),
        boolean("discard").since(4),
        object("keyFile", &RESOURCE),
        text("label"),
        text("name").needed(),
        texts("openOptions").since(4),
        texts("options").append(),
        text("uuid"),
        boolean("wipeVolume"),
    ],
);
pub(crate) static CEX: Object = Object::plain("cex", &[boolean("enabled")]);
static CLEVIS: Object = Object::plain(
    "clevis",
    &[
        object("custom", &CLEVIS_CUSTOM),
        objects("tang", &TANG),
        whole("threshold"),
        boolean("tpm2"),
    ],
);
static CLEVIS_CUSTOM: Object = Object::plain(
    "clevis pin",
    &[text("config"), boolean("needsNetwork"), text("pin")],
);
pub(crate) static TANG: Object = Object::keyed(
    "tang",
    "url",
    &[
        text("advertisement").since(4),
        text("thumbprint"),
        text("url").needed(),
    ],
);

static SYSTEMD: Object = Object::plain("systemd", &[objects("units", &UNIT)]);
static UNIT: Object = Object::keyed(
    "unit",
    "name",
    &[
        text("contents"),
        objects("dropins", &DROPIN),
        boolean("enabled"),
        boolean("mask"),
        text("name").needed(),
    ],
);
static DROPIN: Object = Object::keyed("dropin", "name", &[text("contents"), text("name").needed()]);
