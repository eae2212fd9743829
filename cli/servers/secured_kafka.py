"""Apache Kafka that knows its callers: TLS, users by password or by certificate, and rights that deny what is not given."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from kafka import KafkaAdminClient

from cli.authority import Authority, Issued
from cli.city.secrets import keep_secret
from cli.servers.kafka import Kafka
from cli.servers.ports import HOST, free_port
from services.common.kafka_security import KafkaSecurity
from services.common.peer import Subject
from services.common.topic_rights import SERVICES, SIMULATION
from services.payments.adapters.kafka_rights import apply_rights, set_passwords

BROKER: Final = "kafka-broker"
ADMINISTRATOR: Final = "kafka-admin"
OF_ONE_MACHINE: Final = {**SERVICES, **SIMULATION}

SECURED = """\
listeners=PASSWORD://{host}:{port},MUTUAL://{host}:{mutual_port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PASSWORD://{host}:{port},MUTUAL://{host}:{mutual_port}
listener.security.protocol.map=PASSWORD:SASL_SSL,MUTUAL:SSL,CONTROLLER:SSL
inter.broker.listener.name=MUTUAL
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
ssl.truststore.type=PEM
ssl.truststore.location={authority}
listener.name.mutual.ssl.client.auth=required
listener.name.controller.ssl.client.auth=required
# Who shows a certificate is whom its subject names as the user id.
ssl.principal.mapping.rules=RULE:^.*UID=([^,]+).*$/$1/,DEFAULT
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.password.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required;
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
super.users=User:{broker};User:{administrator}
"""


class SecuredKafka(Kafka):
    """One broker whose callers are those of an authority, or users that it gave a password."""

    name = "Apache Kafka with TLS and rights"
    # Handshakes are much code that runs a few times: what is seldom run is not worth the better compiler.
    java_options = ("-Xmx1g", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")

    def __init__(
        self, folder: Path, port: int | None = None, say: Callable[[str], None] = print, authority: Authority | None = None
    ) -> None:
        super().__init__(folder, port, say)
        self.authority = authority or Authority(folder / "authority")
        self._mutual_port = free_port()

    @property
    def by_certificate(self) -> str:
        """`host:port` for who shows a certificate; `bootstrap` is for who has a password."""
        return f"{HOST}:{self._mutual_port}"

    def administrator(self) -> dict[str, str]:
        """The variables of Kafka's administrator."""
        return self.showing(f"onecard://service/{ADMINISTRATOR}")

    def showing(self, subject: str) -> dict[str, str]:
        """The variables of who comes with a certificate of this subject."""
        issued = self.authority.issue(subject)
        return {
            "ONECARD_KAFKA": self.by_certificate,
            "ONECARD_KAFKA_AUTHORITY": str(self.authority.certificate),
            "ONECARD_KAFKA_CERTIFICATE": str(issued.certificate),
            "ONECARD_KAFKA_KEY": str(issued.key),
        }

    def user(self, name: str) -> dict[str, str]:
        """The variables of one of the services, or of the simulation: it comes with its password."""
        assert name in OF_ONE_MACHINE, f"{name} is no user of this broker"
        return {
            "ONECARD_KAFKA": self.bootstrap,
            "ONECARD_KAFKA_AUTHORITY": str(self.authority.certificate),
            "ONECARD_KAFKA_USER": name,
            "ONECARD_KAFKA_PASSWORD": self._password(name),
        }

    def start(self) -> None:
        """As a plain one; then its users have their passwords, and those that are no merchants their rights."""
        super().start()
        admin = self._client()
        try:
            set_passwords(admin, {name: self._password(name) for name in OF_ONE_MACHINE})
            apply_rights(admin, OF_ONE_MACHINE, of_merchants=False)
        finally:
            admin.close()

    def _client(self) -> KafkaAdminClient:
        settings = self.administrator()
        security = KafkaSecurity.from_environment(settings)
        return KafkaAdminClient(bootstrap_servers=settings["ONECARD_KAFKA"], **security.arguments())

    def _listening(self) -> str:
        broker = self.authority.issue(Subject(service=BROKER).uri, hosts=("localhost", HOST))
        return SECURED.format(
            host=HOST,
            port=self.port,
            mutual_port=self._mutual_port,
            controller_port=self._controller_port,
            keystore=self._keystore(broker).absolute(),
            authority=self.authority.certificate.absolute(),
            broker=BROKER,
            administrator=ADMINISTRATOR,
        )

    def _keystore(self, broker: Issued) -> Path:
        """Key and certificate in one file, as Kafka wants it."""
        file = self.folder / "kafka" / "keystore.pem"
        file.touch(mode=0o600)
        file.write_bytes(broker.key.read_bytes() + broker.certificate.read_bytes())
        return file

    def _password(self, name: str) -> str:
        passwords = self.folder / "kafka-passwords"
        passwords.mkdir(parents=True, exist_ok=True, mode=0o700)
        return keep_secret(passwords / name)
