#!/bin/sh
# Loads images into containerd as people do it by hand: each archive is checked and then imported, one after
# another. If a server's URL is given, all archives are fetched first. The stage `images` is measured against this.
set -eu
archives=/usr/share/nkd/images

systemctl start containerd
until ctr version > /dev/null 2>&1; do sleep 0.1; done
start=$(date +%s%N)
if [ $# -gt 0 ]; then
    mkdir -p /var/tmp/images
    for archive in "$archives"/*.tar; do
        curl --silent --show-error --fail --output "/var/tmp/images/$(basename "$archive")" \
            "$1/$(basename "$archive")"
    done
    archives=/var/tmp/images
fi
cd "$archives"
sha256sum --quiet --check /etc/nkd-testbed/sums
for archive in *.tar; do
    ctr --namespace k8s.io images import "$archive"
done
for image in $(ctr --namespace k8s.io images list --quiet); do
    ctr --namespace k8s.io images label "$image" io.cri-containerd.pinned=pinned
done
# As in the agent's stage, the results must be on the disk at the end.
sync
echo $(($(date +%s%N) - start)) > /var/lib/loaded.new
mv /var/lib/loaded.new /var/lib/loaded
