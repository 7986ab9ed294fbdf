# The images of a kubeadm cluster as docker-archives, under the exact names that kubeadm asks for.
# In: NODE_ROOT, BINARIES. Out: $OUT/images.

mkdir -p "$OUT/images"
cd "$WORK"

# docker_archive NAME ROOT ENTRYPOINT: an image of one layer.
docker_archive() {
    local name=$1 root=$2 entrypoint=$3 archive=$WORK/archive layer_digest config_digest
    rm -rf "$archive"
    mkdir -p "$archive"
    tar -C "$root" --sort=name --mtime=@$SOURCE_DATE_EPOCH --owner=0 --group=0 --numeric-owner \
        -cf "$archive/layer.tar" .
    layer_digest=$(sha256sum "$archive/layer.tar" | cut -d' ' -f1)
    printf '{"architecture":"amd64","os":"linux","created":"2023-11-14T22:13:20Z","config":{"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],%s"WorkingDir":"/"},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]},"history":[{"created":"2023-11-14T22:13:20Z","created_by":"nkd testbed"}]}' \
        "${entrypoint:+\"Entrypoint\":[\"$entrypoint\"],}" "$layer_digest" > "$archive/config.json"
    config_digest=$(sha256sum "$archive/config.json" | cut -d' ' -f1)
    mv "$archive/config.json" "$archive/$config_digest.json"
    printf '[{"Config":"%s.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' \
        "$config_digest" "$name" > "$archive/manifest.json"
    tar -C "$archive" --sort=name --mtime=@$SOURCE_DATE_EPOCH --owner=0 --group=0 \
        -cf "$OUT/images/$(basename "${name/:/-}").tar" "$config_digest.json" layer.tar manifest.json
    echo "packed $name"
}

# new_root ROOT: the little that a static program expects.
new_root() {
    mkdir -p "$1"/{etc,tmp,usr/local/bin}
    chmod 1777 "$1/tmp"
    printf 'root:x:0:0:root:/:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n' > "$1/etc/passwd"
    printf 'root:x:0:\nnogroup:x:65534:\n' > "$1/etc/group"
}

# from_node ROOT PROGRAM...: programs of the node's system, with their libraries.
from_node() {
    local root=$1 program
    shift
    for program; do
        printf '%s\n' "$program" "$(chroot "$NODE_ROOT" readlink -f "$program")"
        chroot "$NODE_ROOT" ldd "$program" | grep -o '/[^ ]*'
    done | sort -u | while read -r path; do
        install -D -m 755 "$NODE_ROOT$path" "$root$path"
    done
}

# build STAND-IN SOURCE: a static C program.
static_program() { gcc -static -O2 -s -Wall -Werror -o "$1" "$2"; }

names=$("$BINARIES/kubeadm" config images list --kubernetes-version "$("$BINARIES/kubeadm" version -o short)" 2>/dev/null)
for name in $names; do
    component=$(basename "${name%:*}")
    root=$WORK/$component
    new_root "$root"
    entrypoint=
    case $component in
        pause) static_program "$root/pause" pause.c; entrypoint=/pause ;;
        coredns) static_program "$root/coredns" coredns.c; entrypoint=/coredns ;;
        etcd)
            private_apt "deb [signed-by=$keyring] $(debian_mirror) bookworm main"
            for program in etcd:server etcdctl:client; do
                package=etcd-${program#*:}
                apt-get -q download "$package"
                dpkg-deb -x "$package"_*.deb "$package"
                install -s -m 755 "$package/usr/bin/${program%:*}" "$root/usr/local/bin/"
            done
            # Go programs with cgo: need libc and no more, as the node's `true` does.
            from_node "$root" /bin/true ;;
        kube-proxy)
            from_node "$root" /usr/sbin/conntrack /usr/bin/kmod /usr/sbin/xtables-nft-multi \
                /usr/sbin/xtables-legacy-multi /usr/bin/sh
            mkdir -p "$root/usr/lib/x86_64-linux-gnu"
            cp -a "$NODE_ROOT/usr/lib/x86_64-linux-gnu/xtables" "$root/usr/lib/x86_64-linux-gnu/"
            for program in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do
                ln -s /usr/sbin/xtables-nft-multi "$root/usr/sbin/$program"
            done
            for program in modprobe lsmod; do ln -s /usr/bin/kmod "$root/usr/sbin/$program"; done
            install -m 755 "$BINARIES/$component" "$root/usr/local/bin/" ;;
        *) install -m 755 "$BINARIES/$component" "$root/usr/local/bin/" ;;
    esac
    docker_archive "$name" "$root" "$entrypoint"
    rm -rf "$root"
done
