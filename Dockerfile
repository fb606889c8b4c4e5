# syntax=docker/dockerfile:1
# The tagpin sidecar: one static binary, and of Debian git, ssh and CA certificates with what these load; no package manager, no perl.
# It runs as uid 999 (Argo CD's) with a read-only root, and writes to /tmp and to the shared plugins volume alone.
#
#   docker buildx build --platform linux/amd64,linux/arm64 --build-arg VERSION=v0.1.0 --build-arg REVISION=$(git rev-parse HEAD) \
#     --sbom=true --provenance=mode=max --push -t registry.example.com/you/tagpin:v0.1.0 .
#
# Alibaba Cloud Container Registry refuses attestations: there, leave --sbom out and say --provenance=false.
ARG GO=golang:1.26.8-bookworm@sha256:a688600ca24f8a4d3ca77f95b0dd40704a9fc787c826660eb7ba0b641b8b175d
ARG DEBIAN=debian:bookworm-20260824-slim@sha256:88200866dfff7ea7f5cbcb6ec7c8a701889efe6fe859fe64d6990e4b07ea4171

FROM --platform=$BUILDPLATFORM $GO AS build
ARG TARGETOS=linux
ARG TARGETARCH=amd64
ARG VERSION=dev
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# -trimpath, no VCS stamp and no build id: the same sources give the same bytes.
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false \
    -ldflags "-s -w -buildid= -X main.version=$VERSION" -o /out/tagpin ./cmd/tagpin

FROM $DEBIAN AS rootfs
RUN apt-get update && apt-get install -y --no-install-recommends git openssh-client ca-certificates
COPY deploy/image/rootfs.sh /
RUN sh -eu /rootfs.sh /rootfs

FROM scratch
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="tagpin" \
      org.opencontainers.image.description="Argo CD plugin that resolves, injects and pins image tags" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/tagpin/tagpin" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=rootfs /rootfs/ /
COPY --from=build /out/tagpin /usr/local/bin/tagpin
COPY plugin.yaml /home/argocd/cmp-server/config/plugin.yaml
COPY LICENSE /usr/share/doc/tagpin/copyright
USER 999
ENV HOME=/tmp PATH=/usr/local/bin:/usr/bin:/bin
ENTRYPOINT ["tagpin"]
CMD ["serve"]
