# syntax=docker/dockerfile:1
# The tagpin sidecar: one static binary, git and CA certificates. Runs as uid 999 (Argo CD's) with a read-only root; it writes
# to /tmp and to the shared plugins volume alone.
#
#   docker buildx build --platform linux/amd64,linux/arm64 --build-arg VERSION=v0.1.0 --build-arg REVISION=$(git rev-parse HEAD) -t tagpin .
FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS build
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

FROM debian:bookworm-slim
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="tagpin" \
      org.opencontainers.image.description="Argo CD plugin that resolves, injects and pins image tags" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
RUN apt-get update && apt-get install -y --no-install-recommends git openssh-client ca-certificates \
    && rm -rf /var/lib/apt/lists/* /var/log/* /var/cache/* \
    # ssh wants to know who it is
    && groupadd --gid 999 argocd && useradd --uid 999 --gid 999 --home-dir /home/argocd --no-create-home --shell /usr/sbin/nologin argocd
COPY --from=build /out/tagpin /usr/local/bin/tagpin
COPY plugin.yaml /home/argocd/cmp-server/config/plugin.yaml
USER 999
ENV HOME=/tmp
ENTRYPOINT ["tagpin"]
CMD ["serve"]
