#!/bin/bash
# A part of the initramfs that gives Ignition the config that an installer has put on the boot partition, in
# ignition/config.ign, as the images of Fedora CoreOS and NestOS do.
# shellcheck disable=SC2154 # dracut sets moddir, initdir and systemdsystemunitdir.

check() {
    # Only where dracut's configuration names it.
    return 255
}

depends() {
    echo ignition
}

installkernel() {
    instmods vfat nls_cp437 nls_ascii nls_iso8859-1 nls_utf8
}

install() {
    inst_multiple cp mkdir mount tail tr udevadm umount
    inst_script "$moddir/copy-config" /usr/libexec/ignition-copy-config
    inst_simple "$moddir/ignition-metal.service" "$systemdsystemunitdir/ignition-metal.service"
    systemctl --quiet --root="$initdir" add-requires ignition-complete.target ignition-metal.service
}
