"""How every client of ours reaches Kafka: the brokers, and what proves to them who we are."""

from __future__ import annotations

import ssl
from functools import cache
from typing import Any

from vision_stream.errors import ConfigError, DependencyError
from vision_stream.settings import KafkaSecuritySettings, KafkaSettings


def client_options(kafka: KafkaSettings) -> dict[str, Any]:
    """The arguments that aiokafka's producers, consumers and admin clients share.

    Raises:
        ConfigError: a file of ``kafka.security`` is missing, or is no certificate or key.
    """
    security = kafka.security
    options: dict[str, Any] = {
        "bootstrap_servers": ",".join(kafka.bootstrap_servers),
        "security_protocol": security.protocol.upper(),
        "ssl_context": ssl_context(security),
    }
    if security.uses_sasl:
        options |= {
            "sasl_mechanism": security.mechanism,
            "sasl_plain_username": security.username,
            "sasl_plain_password": security.password.get_secret_value() if security.password else None,
        }
    return options


def host_and_port(server: str) -> tuple[str, int]:
    """Of one of ``bootstrap_servers``; 9092 where it names no port.

    >>> host_and_port("kafka"), host_and_port("[::1]:9093")
    (('kafka', 9092), ('::1', 9093))
    """
    host, _, port = server.rpartition(":") if ":" in server.rpartition("]")[2] else (server, "", "9092")
    return host.strip("[]"), int(port)


def unreachable(kafka: KafkaSettings, why: BaseException | str, *, within_s: float | None = None) -> DependencyError:
    """The error of a command that needs Kafka; ``within_s``: how long it has waited."""
    servers = ", ".join(kafka.bootstrap_servers)
    waited = f" within {within_s:g} s" if within_s is not None else ""
    reason = why if isinstance(why, str) else str(why) or type(why).__name__
    return DependencyError(
        f"Failed to connect to Kafka at {servers}{waited}: {reason}",
        remedy="start it (`vision-stream broker`), or set bootstrap_servers in config/kafka.yaml",
        error_id="VS-101",
    )


def ssl_context(security: KafkaSecuritySettings) -> ssl.SSLContext | None:
    """What the connection is encrypted with; None: it is not.

    Raises:
        ConfigError: see ``client_options``.
    """
    if not security.uses_tls:
        return None
    return _context(security.ca_file, security.certificate_file, security.key_file)


@cache
def _context(ca_file: str | None, certificate_file: str | None, key_file: str | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise _unusable("ca_file", ca_file, error) from error
    if certificate_file:
        try:
            context.load_cert_chain(certificate_file, key_file)
        except OSError as error:
            raise _unusable("certificate_file or key_file", f"{certificate_file}, {key_file}", error) from error
    return context


def _unusable(field: str, found: str | None, error: OSError) -> ConfigError:
    what = error.strerror or type(error).__name__
    return ConfigError(
        f"kafka.security.{field}: {found}: {what}",
        remedy="name a PEM file that this process may read; config/kafka.yaml, or ALGO_KAFKA_SECURITY_...",
        error_id="VS-102",
    )
