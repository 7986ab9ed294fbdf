#!/bin/sh
# What people write by hand instead of an agent: only the same steps in the same order. The results of each step
# are on the disk before the next begins. The cost of nkd-agent is measured against this.
set -eu
node=$1

swapoff --all
sysctl --quiet --load /etc/sysctl.d/90-kubernetes.conf || true
echo "$node" > /etc/hostname
hostname "$node"
sync
systemctl enable --quiet --now containerd
until ctr version > /dev/null 2>&1; do sleep 0.1; done
sync
for archive in /usr/share/nkd/images/*.tar; do
    ctr --namespace k8s.io images import "$archive"
done
for image in $(ctr --namespace k8s.io images list --quiet); do
    ctr --namespace k8s.io images label "$image" io.cri-containerd.pinned=pinned
done
sync
mkdir -p /etc/kubernetes/pki
cp -r /etc/nkd/pki/. /etc/kubernetes/pki/
systemctl enable --quiet kubelet
kubeadm init --config /etc/nkd/kubeadm.yaml --skip-token-print
sync
export KUBECONFIG=/etc/kubernetes/admin.conf
kubectl wait --for=condition=Ready --timeout=300s "node/$node"
mkdir -p /var/lib/nkd
sync
touch /var/lib/nkd/complete
sync
