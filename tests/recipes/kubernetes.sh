# Kubernetes from Debian's source package, whose tarball carries upstream's vendor tree, built with
# the Go release that it was written for (later ones compile it, but the binaries panic).
# In: KUBERNETES_VERSION (such as 1.20.2). Out: $OUT/bin.

mirror=$(debian_mirror)
private_apt \
    "deb [signed-by=$keyring] $mirror bullseye main" \
    "deb-src [signed-by=$keyring] $mirror bookworm main"

cd "$WORK"
apt-get -q download golang-1.15-go golang-1.15-src
for package in golang-*.deb; do dpkg-deb -x "$package" go; done
apt-get -q source --download-only kubernetes
export GOROOT=$WORK/go/usr/lib/go-1.15 GOPATH=$WORK/gopath GOCACHE=$WORK/gocache
export GO111MODULE=off CGO_ENABLED=0 GOFLAGS=-trimpath PATH=$GOROOT/bin:$PATH
source=$GOPATH/src/k8s.io/kubernetes
mkdir -p "$source" "$OUT/bin"
tar -x --strip-components=1 -C "$source" -f kubernetes_*"$KUBERNETES_VERSION".orig.tar.*
cd "$source"

# As upstream's Makefile.generated_files does; everything else generated is in the tarball.
go build -o "$WORK/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
packages=$(grep -rl --include='*.go' '+k8s:openapi-gen=' pkg vendor/k8s.io/* staging 2>/dev/null |
    sed -n 's,^staging/src/,,; s,^pkg/,k8s.io/kubernetes/pkg/,; s,^vendor/,,; s,/[^/]*$,,p' |
    grep -v -e /testdata/ -e /kube-openapi/ -e /gengo/ -e /code-generator/ | sort -u | paste -s -d,)
"$WORK/openapi-gen" -i "$packages" -p k8s.io/kubernetes/pkg/generated/openapi \
    -O zz_generated.openapi -h hack/boilerplate/boilerplate.generatego.txt \
    -r "$WORK/violations" -o "$GOPATH/src"

IFS=. read -r major minor _ <<< "$KUBERNETES_VERSION"
flags="-s -w"
for package in component-base/version client-go/pkg/version; do
    prefix=k8s.io/kubernetes/vendor/k8s.io/$package
    flags+=" -X $prefix.gitVersion=v$KUBERNETES_VERSION -X $prefix.gitMajor=$major -X $prefix.gitMinor=$minor"
    flags+=" -X $prefix.gitTreeState=clean -X $prefix.buildDate=2021-01-13T13:20:00Z"
done
mkdir cmd/cri-pull
cp "$WORK/cri-pull.go" cmd/cri-pull/main.go
for program in cri-pull kubeadm kubectl kubelet kube-proxy kube-scheduler kube-controller-manager kube-apiserver; do
    go build -ldflags "$flags" -o "$OUT/bin/$program" "./cmd/$program"
    echo "built $program"
done
test "$("$OUT/bin/kubeadm" version -o short)" = "v$KUBERNETES_VERSION"
