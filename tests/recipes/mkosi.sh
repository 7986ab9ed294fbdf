# mkosi with the programs that it runs, and setfiles for images with SELinux, in a root directory of its own,
# because Debian 12's mkosi is older than its configuration format of today: mkosi's "tools tree".
# Out: $OUT/root.

mmdebstrap --quiet --variant=essential --include=mkosi,policycoreutils \
    --aptopt='Acquire::Languages "none"' --aptopt='APT::Install-Recommends "false"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    trixie "$OUT/root" \
    "deb [signed-by=$keyring] $(debian_mirror) trixie main"
rm -rf "$OUT"/root/var/lib/apt/lists/* "$OUT"/root/var/cache/apt/*
