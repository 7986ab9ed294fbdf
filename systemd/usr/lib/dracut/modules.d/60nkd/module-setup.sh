#!/bin/bash
# A part of the initramfs that reports on the console why Ignition failed, what it waits for, or that it had no
# config. The agent cannot report this, because it runs only on the installed system.
# shellcheck disable=SC2154 # dracut sets moddir, initdir and systemdsystemunitdir.

check() {
    # 255 would leave the module out unless dracut's configuration named it.
    return 0
}

depends() {
    echo systemd
}

install() {
    inst_multiple cat cut date grep journalctl mktemp rm sed sleep sort systemctl tail tr
    # Without curl the report goes to the console only.
    inst_multiple -o curl
    inst_script "$moddir/report-ignition" /usr/libexec/nkd/report-ignition
    for unit in nkd-ignition-failed.service nkd-ignition-waiting.service nkd-ignition-empty.service; do
        inst_simple "$moddir/$unit" "$systemdsystemunitdir/$unit"
    done
    systemctl --quiet --root="$initdir" add-wants emergency.target nkd-ignition-failed.service
    systemctl --quiet --root="$initdir" add-wants ignition-fetch.service nkd-ignition-waiting.service
    systemctl --quiet --root="$initdir" add-wants ignition-complete.target nkd-ignition-empty.service
}
