// What the crictl stand-in can't do over ctr: has a runtime pull an image through CRI, with the
// mirrors, authorities and credentials of its CRI plugin. Kubelet's own client does it.
package main

import (
	"fmt"
	"os"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1alpha2"
	"k8s.io/kubernetes/pkg/kubelet/cri/remote"
)

func pull(endpoint, image string) (string, error) {
	service, err := remote.NewRemoteImageService(endpoint, 10*time.Minute)
	if err != nil {
		return "", err
	}
	return service.PullImage(&runtimeapi.ImageSpec{Image: image}, nil, nil)
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: cri-pull ENDPOINT IMAGE")
		os.Exit(2)
	}
	reference, err := pull(os.Args[1], os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("Image is up to date for", reference)
}
