//! The container runtime, and where images come from.

use super::{RUNTIMES, map, mapping, maps, text, texts, word};
use nkd_document::yaml::{Key, Mapping};

pub(super) static RUNTIME: Mapping = mapping(
    "runtime",
    &[&[
        word("name", &RUNTIMES, "Which one; it has to be in the OS image. containerd has to be older than 2.0 before Kubernetes 1.23, and 1.6 or later from 1.26. From 1.24 docker needs cri-dockerd there too, and from 1.26 isulad has to be 2.1.5 or later.").or(RUNTIMES[0]),
        text(
            "sandboxImage",
            "The image that holds a pod together; by default the one of the Kubernetes version.",
        ),
        maps(
            "registries",
            &REGISTRY,
            "Registries that need a mirror, a certificate authority or a password.",
        ),
    ]],
);

const ACCESS: &[Key] = &[
    text("caFile", "A file of PEM certificates to trust here."),
    map("auth", &AUTH, "Who pulls."),
];

static REGISTRY: Mapping = mapping(
    "registry",
    &[
        &[text("host", "HOST or HOST:PORT, as images' names begin.").needed()],
        ACCESS,
        &[maps(
            "mirrors",
            &MIRROR,
            "Where its images are looked for first, in this order.",
        )],
    ],
);

static MIRROR: Mapping = mapping(
    "mirror",
    &[
        &[text(
            "url",
            "An http or https URL. A path begins the names of images there: with https://HOST/k8s, \
             registry.k8s.io/pause is HOST/k8s/pause. A path with /v2 in it is that of the API itself.",
        )
        .needed()],
        ACCESS,
    ],
);

static AUTH: Mapping = mapping(
    "auth",
    &[&[
        text("username", "The user's name.").needed(),
        text("passwordFile", "A file that holds the password.").needed(),
    ]],
);

pub(super) static AIRGAP: Mapping = mapping(
    "airgap",
    &[&[
        text(
            "images",
            "A directory in the OS image with image archives (*.tar).",
        ),
        texts(
            "bundles",
            "Image bundles, made by `nkd bundle create`: files here, which the nodes find at `sources` by the same names.",
        ),
        maps(
            "sources",
            &BUNDLE_SOURCE,
            "Where nodes look for bundles, in this order; by default in /usr/lib/nkd/bundles of the OS image.",
        ),
        word(
            "fallback",
            &["registry"],
            "Where an image comes from that no source has; without it nothing is ever pulled.",
        ),
    ]],
);

static BUNDLE_SOURCE: Mapping = mapping(
    "bundleSource",
    &[&[
        text("directory", "A directory on the node."),
        text(
            "disk",
            "The label of a file system, on whatever disk it is; bundles are in its top directory.",
        ),
        texts(
            "urls",
            "http or https URLs of directories with the same files: where one server fails, the next goes on.",
        ),
        text("caFile", "A file of PEM certificates to trust there."),
    ]],
);
