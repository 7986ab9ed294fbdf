# containerd from a newer suite of Debian than the node's, as a layer over the node's system.
# In: SUITE (such as trixie), SERIES (such as 1.7). Out: $OUT/root.

private_apt "deb [signed-by=$keyring] $(debian_mirror) $SUITE main"
cd "$WORK"
apt-get -q download containerd
package=$(echo containerd_*.deb)
case $(dpkg-deb --field "$package" Version) in
    "$SERIES".*) ;;
    *) echo "$SUITE has another containerd than $SERIES: $package" >&2; exit 1 ;;
esac
mkdir "$OUT/root"
dpkg-deb -x "$package" "$OUT/root"
rm -rf "$OUT/root/usr/share"
# The node has this machine's libc: a package that needs a newer one ends here.
for program in containerd ctr containerd-shim-runc-v2; do
    case $program in
        *shim*) "$OUT/root/usr/bin/$program" -v ;;
        *) "$OUT/root/usr/bin/$program" --version ;;
    esac
done
