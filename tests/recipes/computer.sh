# The disk of a computer: the image of the directory mkosi, with Kubernetes, and of the agent's tree only the
# module for the initramfs.
# In: MKOSI (mkosi's own root directory), BINARIES (the programs of Kubernetes), the directories mkosi and
# systemd of the workspace, the stand-in crictl, PROFILES (of mkosi, or unset). Out: $OUT/disk.raw.

definition=$WORK/mkosi
# The cache gives a recipe the texts of files, without their modes.
grep --recursive --files-with-matches --null '^#!' "$definition" "$WORK/systemd" | xargs --null chmod +x

# The mirror of this machine instead of Debian's own.
mkdir -p "$WORK"/{output,packages,workspace} "$WORK/sandbox/etc/apt/sources.list.d"
cat > "$WORK/sandbox/etc/apt/sources.list.d/mkosi.sources" <<SOURCES
Types: deb
URIs: $(debian_mirror)
Suites: bookworm bookworm-updates
Components: main
Signed-By: $keyring
SOURCES

# What nodes have in /usr/bin. The control plane's own programs are in its images.
programs=$WORK/kubernetes/usr/bin
mkdir -p "$programs"
for program in kubeadm kubectl kubelet crictl cri-pull; do
    if [ -e "$BINARIES/$program" ]; then
        install -m 755 "$BINARIES/$program" "$programs"
    fi
done
[ -e "$programs/crictl" ] || install -m 755 "$WORK/crictl" "$programs"

PYTHONPATH=$MKOSI/usr/lib/python3/dist-packages python3 -m mkosi --directory="$definition" \
    --tools-tree="$MKOSI" --sandbox-tree="$WORK/sandbox" \
    --extra-tree="$WORK/kubernetes" --extra-tree="$WORK/systemd" \
    ${PROFILES:+--profile="$PROFILES"} --output-directory="$WORK/output" --package-cache-directory="$WORK/packages" \
    --workspace-directory="$WORK/workspace" --distribution=debian --release=bookworm build
mv "$WORK/output/nkd.raw" "$OUT/disk.raw"
