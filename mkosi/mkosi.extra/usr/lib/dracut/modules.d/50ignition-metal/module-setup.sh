#!/bin/bash
# A part of the initramfs that gives Ignition the config that an installer has put on the boot partition, as the
# images of Fedora CoreOS and NestOS have it: /boot/ignition/config.ign.
# shellcheck disable=SC2154 # dracut sets moddir, initdir and systemdsystemunitdir.

check() {
    # Only where dracut's configuration names it.
    return 255
}

depends() {
    echo ignition
}

install() {
    inst_multiple cp mkdir mount umount
    inst_script "$moddir/copy-config" /usr/libexec/ignition-copy-config
    inst_simple "$moddir/ignition-metal.service" "$systemdsystemunitdir/ignition-metal.service"
    systemctl --quiet --root="$initdir" add-requires ignition-complete.target ignition-metal.service
}
