# The server in an image of its own, run by a user who owns nothing but its data.
# docs/operations.md says how to use it.

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package app

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 memorychat \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin memorychat \
    && install -d -o memorychat -g memorychat -m 0700 /data /models
COPY --from=build /src/target/release/memorychat /usr/local/bin/memorychat
USER 10001:10001
WORKDIR /data
ENV MEMORYCHAT_HOST=0.0.0.0 \
    MEMORYCHAT_DATA_DIR=/data \
    MEMORYCHAT_MODELS_DIR=/models
EXPOSE 8000
# There is no curl in here; the program asks itself.
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --retries=3 CMD ["memorychat", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["memorychat"]
CMD ["serve"]
