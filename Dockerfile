# The image of the server (docs/install.md). Build arguments name other base images, for networks without these registries.
#
#     docker build --tag strom .                                                  compiles in the image BUILDER
#     docker build --tag strom --target prebuilt --build-arg BINARY=dist/strom .  copies a compiled program instead
ARG BUILDER=rust:1.95-slim-bookworm
ARG BASE=debian:12-slim

FROM ${BASE} AS base
# A new volume receives its content and owner from this directory.
COPY --chown=65532:65532 packaging/container/data/ /data/
# A number, because a base image may lack the name.
USER 65532:65532
# Backups need space for temporary files, and the root file system may be read-only.
ENV TMPDIR=/data STROM_DATA_DIR=/data STROM_HOST=0.0.0.0 STROM_PORT=8080
VOLUME /data
WORKDIR /data
EXPOSE 8080
# `strom health` reads the variables above as the server does.
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s CMD ["/usr/local/bin/strom", "health"]
ENTRYPOINT ["/usr/local/bin/strom"]

# Before the builder: without BuildKit, docker runs every stage above its target.
FROM base AS prebuilt
# With BuildKit, the architecture: amd64 or arm64.
ARG TARGETARCH
ARG BINARY=dist/${TARGETARCH}/strom
COPY ${BINARY} /usr/local/bin/strom

FROM ${BUILDER} AS builder
# The build reads the commit for `GET /api/version`.
RUN apt-get update && apt-get install --yes --no-install-recommends git
WORKDIR /source
COPY . .
RUN cargo build --locked --release --package strom-server

FROM base
COPY --from=builder /source/target/release/strom /usr/local/bin/strom
