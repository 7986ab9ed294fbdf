#!/bin/bash
# A part of the initramfs that starts the network when Ignition needs it: for a config that names a URL, or
# from a metadata server. Other boots neither start nor wait for the network.
# shellcheck disable=SC2154 # dracut sets moddir, initdir and systemdsystemunitdir.

check() {
    # Only where dracut's configuration names it.
    return 255
}

depends() {
    echo systemd-networkd systemd-resolved
}

install() {
    inst_simple "$moddir/ignition-network.service" "$systemdsystemunitdir/ignition-network.service"
    # The kernel argument ip= has priority over this file.
    inst_simple "$moddir/zz-default.network" /usr/lib/systemd/network/zz-default.network
    # dracut's modules start these units at every boot.
    systemctl --quiet --root="$initdir" disable systemd-networkd.service systemd-networkd.socket \
        systemd-networkd-wait-online.service systemd-resolved.service
    systemctl --quiet --root="$initdir" add-requires ignition-fetch.service ignition-network.service
}
