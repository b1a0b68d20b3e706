"""TLS and passwords on the way to Kafka, to Redis and to the gateway: real servers, certificates made here."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import trustme
from cryptography.hazmat.primitives import serialization
from pydantic import SecretStr
from redis.asyncio import Redis

from tests.builders import a_detection, a_group, an_object
from tests.faults.harness import open_world
from tests.gateway_parts import a_gateway
from tests.waiting import eventually
from vision_stream import topics
from vision_stream.broker import KafkaBroker
from vision_stream.checks.services import kafka
from vision_stream.errors import ConfigError, DependencyError
from vision_stream.redis_server import RedisServer
from vision_stream.server_process import free_ports
from vision_stream.settings import Settings
from vision_stream.stores.redis_link import RedisLink
from workers.capture.kafka_sink import KafkaSink
from workers.gateway.hub import Hub
from workers.gateway.tail import KafkaTail

pytestmark = [pytest.mark.kafka, pytest.mark.asyncio(loop_scope="module")]
DEBIANS_REDIS = shutil.which("redis-server")  # the wheel's is built without TLS
USER, PASSWORD = "vision-stream", "canary-kafka-password"


@dataclass(frozen=True)
class Certificates:
    """PEM files in ``directory``."""

    directory: Path

    def __getattr__(self, name: str) -> str:
        return str(self.directory / f"{name}.pem")

    @classmethod
    def make(cls, directory: Path) -> Certificates:
        ours, foreign = trustme.CA(), trustme.CA()
        ours.cert_pem.write_to_path(directory / "ca.pem")
        foreign.cert_pem.write_to_path(directory / "foreign_ca.pem")
        for name, issued in (("server", ours.issue_cert("localhost", "127.0.0.1")), ("client", ours.issue_cert("us"))):
            key, chain = issued.private_key_pem.bytes(), b"".join(part.bytes() for part in issued.cert_chain_pems)
            (directory / f"{name}_key.pem").write_bytes(key)
            (directory / f"{name}.pem").write_bytes(chain)
            (directory / f"{name}_both.pem").write_bytes(_pkcs8(key) + chain)
        return cls(directory)


def _pkcs8(key: bytes) -> bytes:
    """As Kafka wants it."""
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return serialization.load_pem_private_key(key, None).private_bytes(*form)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Certificates:
    return Certificates.make(tmp_path_factory.mktemp("certificates"))


# --- Kafka -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Listeners:
    """Ports of one broker: a user and a password under TLS; without; a certificate of the client's own."""

    sasl_ssl: int
    sasl_plaintext: int
    ssl: int


def broker(certificates: Certificates, plain: int, at: Listeners) -> KafkaBroker:
    jaas = "org.apache.kafka.common.security"
    ports = {"PLAINTEXT": plain, "SASL": at.sasl_ssl, "WORD": at.sasl_plaintext, "MUTUAL": at.ssl}
    listeners = ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items())
    (controller,) = free_ports(1)
    return KafkaBroker(
        port=plain,
        format_options=("--add-scram", f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"),
        properties={
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"{listeners},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": listeners,
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,"
            "SASL:SASL_SSL,WORD:SASL_PLAINTEXT,MUTUAL:SSL",
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
            "listener.name.sasl.scram-sha-512.sasl.jaas.config": f"{jaas}.scram.ScramLoginModule required;",
            "listener.name.word.sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.word.scram-sha-512.sasl.jaas.config": f"{jaas}.scram.ScramLoginModule required;",
            "listener.name.sasl.plain.sasl.jaas.config": f"{jaas}.plain.PlainLoginModule required "
            f'user_{USER}="{PASSWORD}";',
            "listener.name.mutual.ssl.client.auth": "required",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": certificates.server_both,
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": certificates.ca,
        },
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def listeners(certificates: Certificates) -> AsyncIterator[Listeners]:
    plain, *others = free_ports(4)
    at = Listeners(*others)
    async with broker(certificates, plain, at):
        yield at


def reached_by(port: int, **security: Any) -> Settings:
    names = type(Settings().kafka.topics).model_fields
    kafka = {
        "bootstrap_servers": [f"localhost:{port}"],
        "connect_timeout_s": 10,
        "security": security,
        "topics": {name: {"name": name.replace("_", "-"), "partitions": 1} for name in names},
    }
    switches = {"enable_kafka_streaming": True, "enable_redis": False, "monitoring": {"prometheus": {"port": 0}}}
    return Settings.model_validate(switches | {"kafka": kafka})


def with_password(protocol: str = "sasl_ssl", **changes: Any) -> dict[str, Any]:
    return {"protocol": protocol, "username": USER, "password": PASSWORD, **changes}


async def test_a_detection_is_judged_over_tls_with_a_user_and_a_password(listeners, certificates, tmp_path: Path):
    settings = reached_by(listeners.sasl_ssl, **with_password(ca_file=certificates.ca))
    hub, sink = Hub(), KafkaSink(settings.kafka)
    tail = KafkaTail(settings, hub)
    async with open_world(settings, tmp_path) as world, asyncio.TaskGroup() as group:
        await world.worker("a", ALGO_KAFKA_SECURITY_PASSWORD=PASSWORD).start()
        reading = group.create_task(tail.run())
        await eventually(lambda: tail.lost is None, within_s=10)
        await sink.start()
        await sink.detection(a_detection(a_group(0), objects=(an_object(0), an_object(1)), captured_at=time.time()))
        await eventually(lambda: has_assessment(hub), within_s=20)
        await sink.close()
        reading.cancel()
    assert sink.dropped == 0
    assert PASSWORD not in (tmp_path / "a.log").read_text()


def has_assessment(hub: Hub) -> bool:
    view = hub.board.get("cam-01")
    return view is not None and view.assessment is not None


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
async def test_a_user_gets_in_by_either_mechanism(listeners, certificates, mechanism: str):
    settings = reached_by(listeners.sasl_ssl, **with_password(ca_file=certificates.ca, mechanism=mechanism))
    assert await topics.ensure(settings)


async def test_a_user_gets_in_without_tls_where_the_listener_has_none(listeners):
    assert await topics.ensure(reached_by(listeners.sasl_plaintext, **with_password("sasl_plaintext")))


async def test_a_certificate_of_our_own_lets_us_in_and_none_does_not(listeners, certificates):
    own = {"certificate_file": certificates.client, "key_file": certificates.client_key}
    assert await topics.ensure(reached_by(listeners.ssl, protocol="ssl", ca_file=certificates.ca, **own))
    with pytest.raises(DependencyError, match="Failed to connect to Kafka"):
        await topics.ensure(reached_by(listeners.ssl, protocol="ssl", ca_file=certificates.ca), wait_s=1)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"password": "canary-wrong"}, "refused the user or the password"),
        ({"ca_file": "foreign"}, "certificate verify failed"),
    ],
    ids=["password", "authority"],
)
async def test_what_is_wrong_is_said_without_the_password(listeners, certificates, changes, said: str):
    security = with_password(ca_file=certificates.ca) | changes
    if changes.get("ca_file"):
        security["ca_file"] = certificates.foreign_ca
    with pytest.raises(DependencyError) as raised:
        await topics.ensure(reached_by(listeners.sasl_ssl, **security), wait_s=1)
    assert said in str(raised.value)
    assert "canary" not in str(raised.value)
    finding = await kafka(reached_by(listeners.sasl_ssl, **security))
    assert (finding.level, finding.exit_code) == ("wrong", 3)
    assert said in finding.text
    assert "canary" not in repr(finding)


async def test_the_doctor_gets_in_with_the_right_password(listeners, certificates):
    finding = await kafka(reached_by(listeners.sasl_ssl, **with_password(ca_file=certificates.ca)))
    assert finding.level == "ok"


async def test_a_certificate_that_is_none_is_a_configuration_error(certificates, tmp_path: Path):
    (tmp_path / "no.pem").write_text("not a certificate")
    for file in (tmp_path / "no.pem", tmp_path / "absent.pem"):
        with pytest.raises(ConfigError, match=r"kafka\.security\.ca_file"):
            await topics.ensure(reached_by(9092, protocol="ssl", ca_file=str(file)))


# --- Redis -------------------------------------------------------------------------------------------------------


async def test_redis_is_reached_over_tls_as_a_user_and_without_its_authority_it_is_not(certificates):
    (port,) = free_ports(1)
    tls = {"tls-port": port, "tls-cert-file": certificates.server, "tls-key-file": certificates.server_key,
           "tls-ca-cert-file": certificates.ca, "tls-auth-clients": "no"}  # fmt: skip
    async with RedisServer(executable=DEBIANS_REDIS, options=tls, password="canary-admin") as server:
        async with Redis.from_url(server.url) as admin:
            await admin.acl_setuser(
                "vision-stream", enabled=True, passwords=["+canary-user"], keys=["*"], commands=["+@all"]
            )
        url = f"rediss://vision-stream:canary-user@localhost:{port}/0"
        trusted = RedisLink(SecretStr(f"{url}?ssl_ca_certs={certificates.ca}"))
        foreign = RedisLink(SecretStr(f"{url}?ssl_ca_certs={certificates.foreign_ca}"))
        try:
            assert await trusted.ping()
            assert not await foreign.ping()
        finally:
            await trusted.close()
            await foreign.close()


# --- the gateway -------------------------------------------------------------------------------------------------


async def test_the_gateway_speaks_https_and_wss(certificates):
    context = ssl.create_default_context(cafile=certificates.ca)
    own = {"certificate_file": certificates.server, "key_file": certificates.server_key}
    async with a_gateway(**own) as gateway:
        assert gateway.url.startswith("https://")
        async with gateway.client.get("/healthz", ssl=context) as answer:
            assert answer.status == 200
        async with gateway.client.ws_connect("/ws", ssl=context) as ws:
            assert (await ws.receive_json())["type"] == "connection_ack"
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await gateway.client.get("/healthz")


async def test_a_renewed_certificate_is_served_to_new_connections(certificates, tmp_path: Path):
    first, second = trustme.CA(), trustme.CA()
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"

    def issue(authority: trustme.CA) -> None:
        made = authority.issue_cert("127.0.0.1")
        made.private_key_pem.write_to_path(key)
        made.cert_chain_pems[0].write_to_path(certificate)

    async def trusts(authority: trustme.CA) -> bool:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        async with aiohttp.ClientSession() as client:
            try:
                async with client.get(f"{gateway.url}/healthz", ssl=context):
                    return True
            except aiohttp.ClientConnectorCertificateError:
                return False

    issue(first)
    async with a_gateway(certificate_file=str(certificate), key_file=str(key)) as gateway:
        assert await trusts(first)
        issue(second)
        await eventually(lambda: trusts(second), within_s=10)
        key.write_text("half written")
        assert await trusts(second)


async def test_a_gateway_without_a_usable_certificate_does_not_start(certificates):
    with pytest.raises(ConfigError, match=r"gateway\.certificate_file"):
        async with a_gateway(certificate_file=certificates.server, key_file=certificates.client_key):
            pass
