# Whole computers in software, for what a container shares with its host, such as the clock, or does not
# have, such as firmware: QEMU with its libraries and UEFI firmware, in a root directory of its own, and a
# kernel and a busybox for computers without a disk.
# Out: $OUT/root with /vmlinuz and /busybox.

mmdebstrap --quiet --variant=essential --include=qemu-system-x86,ovmf,linux-image-cloud-amd64,busybox-static \
    --aptopt='Acquire::Languages "none"' --aptopt='APT::Install-Recommends "false"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/lib/modules/*' \
    bookworm "$OUT/root" \
    "deb [signed-by=$keyring] $(debian_mirror) bookworm main" \
    "deb [signed-by=$keyring] $(debian_mirror) bookworm-updates main"
mv "$OUT"/root/boot/vmlinuz-* "$OUT/root/vmlinuz"
cp "$OUT/root/bin/busybox" "$OUT/root/busybox"
rm -rf "$OUT"/root/boot "$OUT"/root/var/lib/apt/lists/* "$OUT"/root/var/cache/apt/*
