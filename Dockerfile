# The image: the one program and what it is linked with, nothing else (deploy/image/root says what, and why).
#   docker build -t flk .
# docs/docker.md says how to run it.

FROM rust:1.95.0-bookworm AS build
# Kafka's client is built with OpenSSL, and takes make and a C compiler, as SQLite and zstd do. What the image is packed
# from is as new as Debian has it: the libraries come along.
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential ca-certificates libc6 libgcc-s1 libssl-dev libssl3 pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# The compiler that is there, without the components for people that rust-toolchain.toml asks for.
ENV RUSTUP_TOOLCHAIN=1.95.0
# Symbols stay, so that a backtrace has names; lines would make it twice as large.
ENV CARGO_PROFILE_RELEASE_STRIP=debuginfo
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --locked --release -p flk --features kafka \
    && deploy/image/root target/release/flk /image.tar \
    && mkdir /image && tar -C /image -xpf /image.tar

FROM scratch
# The version is that of Cargo.toml; a build says which commit: --build-arg REVISION=$(git rev-parse HEAD)
ARG REVISION=unknown
LABEL org.opencontainers.image.title="flk" \
      org.opencontainers.image.description="Proof-of-Computation Summaries, made durable, verified and settled." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /image/ /
# By number: orchestrators that demand a user other than root can not look names up.
USER 65532:65532
ENV WAL_DIR=/var/lib/flk
EXPOSE 8080
STOPSIGNAL SIGTERM
# Alive, not ready: who restarts what is unhealthy would restart it because Kafka is away.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["/usr/local/bin/flk", "health", "http://127.0.0.1:8080/livez"]
ENTRYPOINT ["/usr/local/bin/flk"]
CMD ["serve"]
