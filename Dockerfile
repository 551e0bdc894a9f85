# syntax=docker/dockerfile:1
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --profile dist --locked --package mnemon-cli

FROM debian:bookworm-slim
# The store is the only state, and only its owner may read it.
RUN useradd --system --uid 10001 --home-dir /data --create-home mnemon && chmod 700 /data
COPY --from=build /src/target/dist/mnemon /usr/local/bin/mnemon
COPY LICENSE NOTICE /usr/share/doc/mnemon/
USER mnemon
ENV MNEMON_STORE=sqlite:/data/mnemon.db \
    MNEMON_BIND=0.0.0.0:8000 \
    MNEMON_LOG_FORMAT=json
VOLUME /data
EXPOSE 8000
# On SIGTERM the server finishes accepted requests.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
  CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8000 && printf 'GET /readyz HTTP/1.0\\r\\n\\r\\n' >&3 && head -n 1 <&3 | grep -q ' 200 '"]
ENTRYPOINT ["mnemon"]
CMD ["serve"]
