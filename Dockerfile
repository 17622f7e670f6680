# docker build -t redstart . && docker run -p 6379:6379 -v data:/data redstart
# Options or a configuration file may follow: docker run redstart --port 7000

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin redstart

FROM debian:bookworm-slim
RUN groupadd --system --gid 999 redstart \
    && useradd --system --uid 999 --gid redstart --home-dir /data --no-create-home redstart \
    && install --directory --owner=redstart --group=redstart /data \
    && ln -s redstart /usr/local/bin/redis-server
COPY --from=build /src/target/release/redstart /usr/local/bin/
COPY docker/docker-entrypoint.sh docker/docker-healthcheck.sh /usr/local/bin/
COPY LICENSE-MIT LICENSE-APACHE /usr/share/doc/redstart/

USER 999:999
VOLUME /data
WORKDIR /data
EXPOSE 6379
# The check asks REDSTART_PORT, for a server that is told to listen elsewhere.
ENV REDSTART_PORT=6379
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["docker-healthcheck.sh"]
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["redstart"]
