# The installer of Fedora CoreOS with its services, from crates.io, as files for a live system.
# In: VERSION. Out: $OUT/root.

cd /
cargo install --quiet --locked coreos-installer --version "$VERSION" --root "$WORK/built" \
    --target-dir "$WORK/target"
source=$(echo "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/"coreos-installer-$VERSION")
root=$OUT/root
install -D -t "$root/usr/bin" "$WORK/built/bin/coreos-installer"
install -D -t "$root/usr/libexec" "$source"/scripts/coreos-installer-*
install -D -m 644 -t "$root/usr/lib/systemd/system" "$source"/systemd/*.service "$source"/systemd/*.target
install -D -t "$root/usr/lib/systemd/system-generators" "$source/systemd/coreos-installer-generator"
