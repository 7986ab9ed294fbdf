#!/bin/bash
# A part of the initramfs that boots the system from memory: from the squashfs image at the URL in the kernel
# argument coreos.live.rootfs_url. The live images of Fedora CoreOS and NestOS have a module of their own for
# this, which is larger.
# shellcheck disable=SC2154 # dracut sets moddir, initdir, systemdutildir and systemdsystemunitdir.

check() {
    # Only where dracut's configuration names it.
    return 255
}

depends() {
    echo ignition-network
}

installkernel() {
    instmods loop overlay squashfs
}

install() {
    inst_multiple cp curl grep mkdir mount rm sed
    # Ignition's generator asks this program whether there is a root disk.
    inst_script "$moddir/is-live-image" /usr/bin/is-live-image
    inst_script "$moddir/live-generator" "$systemdutildir/system-generators/live-generator"
    inst_script "$moddir/fetch-rootfs" /usr/libexec/fetch-rootfs
    inst_simple "$moddir/live-rootfs.service" "$systemdsystemunitdir/live-rootfs.service"
}
