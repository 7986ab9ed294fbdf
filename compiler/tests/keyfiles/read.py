"""Reads keyfiles as NetworkManager does, and fails if it would ignore anything in them."""

import sys

import gi

gi.require_version("NM", "1.0")
from gi.repository import GLib, NM  # noqa: E402

# NetworkManager does not write defaults, and writes the gateway after the first address.
DEFAULTS = {("connection", "autoconnect"): "true"}


def read(path):
    problems = []

    def handler(_keyfile, _connection, kind, data, _user_data):
        if kind == NM.KeyfileHandlerType.WARN:
            problems.append(data.warn_get()[0])
        return False

    keyfile = GLib.KeyFile()
    keyfile.load_from_file(path, GLib.KeyFileFlags.NONE)
    connection = NM.keyfile_read(keyfile, "/etc", NM.KeyfileHandlerFlags.NONE, handler, None)
    # The daemon takes one from the file's name.
    connection.get_setting_connection().props.uuid = NM.utils_uuid_generate()
    connection.normalize()
    connection.verify()
    written = NM.keyfile_write(connection, NM.KeyfileHandlerFlags.NONE, None, None)
    for group in keyfile.get_groups()[0]:
        for key in keyfile.get_keys(group)[0]:
            value = keyfile.get_value(group, key)
            found = DEFAULTS.get((group, key))
            if key == "gateway":
                found = written.get_value(group, "address1").split(",")[1]
            elif key == "address1":
                found = written.get_value(group, key).split(",")[0]
            elif found is None:
                try:
                    found = written.get_value(group, key)
                except GLib.Error:
                    pass
            if found != value:
                problems.append(f"[{group}] {key}={value} is read as {found}")
    return problems


failed = False
for path in sys.argv[1:]:
    try:
        problems = read(path)
    except GLib.Error as error:
        problems = [error.message]
    for problem in problems:
        failed = True
        print(f"{path}: {problem}")
sys.exit(1 if failed else 0)
