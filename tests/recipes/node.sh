# The operating system of a node: Debian, made to start as an image-based system does: no machine-id,
# nothing enabled that a preset doesn't ask for, programs in /usr.
# In: SUITE (such as bookworm). Out: $OUT/root.

mirror=$(debian_mirror)
packages=systemd,systemd-sysv,dbus,udev,kmod,iproute2,iptables,conntrack,ethtool,socat,ca-certificates
packages+=,procps,util-linux,mount,openssl,curl,containerd,runc,containernetworking-plugins,docker.io,firewalld,keepalived
mmdebstrap --quiet --variant=minbase --include="$packages" \
    --aptopt='Acquire::Languages "none"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    "$SUITE" "$OUT/root" \
    "deb [signed-by=$keyring] $mirror $SUITE main" \
    "deb [signed-by=$keyring] $mirror $SUITE-updates main"
root=$OUT/root

# systemd applies presets only where there is no machine-id at all.
rm -f "$root"/etc/machine-id "$root"/var/lib/dbus/machine-id "$root"/etc/hostname
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*
mkdir -p "$root"/var/log/journal "$root"/usr/lib/systemd/system-preset
printf 'disable *\n' > "$root/usr/lib/systemd/system-preset/99-default-disable.preset"
for unit in containerd.service docker.service docker.socket firewalld.service keepalived.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
    e2scrub_all.timer fstrim.timer systemd-resolved.service systemd-timesyncd.service; do
    systemctl --root="$root" --quiet disable "$unit" 2>/dev/null || true
done
systemctl --root="$root" --quiet enable systemd-networkd.service systemd-networkd-wait-online.service

# Debian's Ignition always wants to relabel, and asks this file whether it must.
mkdir -p "$root/etc/selinux"
printf 'SELINUX=disabled\nSELINUXTYPE=targeted\n' > "$root/etc/selinux/config"
printf '# No name server: the testbed is cut off from all networks.\n' > "$root/etc/resolv.conf"
printf '127.0.0.1 localhost\n' > "$root/etc/hosts"

# What the packages of kubeadm and kubelet bring along on systems that have them.
mkdir -p "$root"/usr/lib/systemd/system/kubelet.service.d "$root"/etc/kubernetes/manifests
cat > "$root/usr/lib/systemd/system/kubelet.service" <<'UNIT'
[Unit]
Description=kubelet: The Kubernetes Node Agent
Documentation=https://kubernetes.io/docs/home/
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=/usr/bin/kubelet
Restart=always
StartLimitInterval=0
RestartSec=10

[Install]
WantedBy=multi-user.target
UNIT
cat > "$root/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf" <<'UNIT'
[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/etc/sysconfig/kubelet
ExecStart=
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS
UNIT
