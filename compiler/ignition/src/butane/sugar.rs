//! The fields that Butane has in addition to those of Ignition. Here `since` is the minor version of
//! `fcos`.

use crate::spec::{CEX, Field, OWNER, Object, TANG, boolean, object, objects, text, texts, whole};

/// The fields that Butane adds to an object of Ignition.
pub fn fields(of: &Object) -> &'static [Field] {
    static CONFIG: [Field; 4] = [
        text("variant"),
        text("version"),
        object("boot_device", &BOOT_DEVICE).since(3),
        object("grub", &GRUB).since(5),
    ];
    static RESOURCE: [Field; 2] = [text("inline"), text("local").since(1)];
    static REFERENCE: [Field; 2] = [text("inline").since(1), text("local").since(1)];
    static STORAGE: [Field; 1] = [objects("trees", &TREE).since(1)];
    static FILESYSTEM: [Field; 1] = [boolean("with_mount_unit").since(1)];
    static USER: [Field; 1] = [texts("ssh_authorized_keys_local").since(5)];
    static UNIT: [Field; 1] = [text("contents_local").since(5)];
    match of.name {
        "config" => &CONFIG,
        "resource" => &RESOURCE,
        "reference" => &REFERENCE,
        "storage" => &STORAGE,
        "filesystem" => &FILESYSTEM,
        "user" => &USER,
        "unit" | "dropin" => &UNIT,
        _ => &[],
    }
}

/// Whether an object exists only in Butane.
pub fn is_sugar(of: &Object) -> bool {
    [
        &BOOT_DEVICE,
        &BOOT_LUKS,
        &BOOT_MIRROR,
        &GRUB,
        &GRUB_USER,
        &TREE,
    ]
    .iter()
    .any(|known| std::ptr::eq(*known, of))
}

static BOOT_DEVICE: Object = Object::plain(
    "boot device",
    &[
        text("layout"),
        object("luks", &BOOT_LUKS),
        object("mirror", &BOOT_MIRROR),
    ],
);
static BOOT_LUKS: Object = Object::plain(
    "boot device's luks",
    &[
        object("cex", &CEX).since(6),
        text("device").since(6),
        boolean("discard").since(5),
        objects("tang", &TANG),
        whole("threshold"),
        boolean("tpm2"),
    ],
);
static BOOT_MIRROR: Object = Object::plain("boot device's mirror", &[texts("devices")]);
static GRUB: Object = Object::plain("grub", &[objects("users", &GRUB_USER)]);
static GRUB_USER: Object = Object::keyed(
    "grub user",
    "name",
    &[text("name").needed(), text("password_hash").needed()],
);
static TREE: Object = Object::keyed(
    "tree",
    "path",
    &[
        whole("dir_mode").since(7),
        whole("file_mode").since(7),
        object("group", &OWNER).since(7),
        text("local").needed(),
        text("path"),
        object("user", &OWNER).since(7),
    ],
);
