"""The gateway's certificate: read at the start, and again whenever its files change, for connections from then on."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from vision_stream.background import Background
from vision_stream.errors import ConfigError
from vision_stream.settings import GatewaySettings

DEBOUNCE_MS = 500  # a renewal writes certificate and key one after the other

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def tls(settings: GatewaySettings) -> AsyncIterator[ssl.SSLContext | None]:
    """What to encrypt with, renewed while the block runs; None where no certificate is set.

    Raises:
        ConfigError: the files are missing, unreadable, or do not belong together.
    """
    if not (settings.certificate_file and settings.key_file):
        yield None
        return
    certificate, key = Path(settings.certificate_file), Path(settings.key_file)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(
            f"gateway.certificate_file and key_file: {certificate}, {key}: {_why(error)}",
            remedy="name a PEM certificate and its key without a passphrase, which this process may read",
            error_id="VS-503",
        ) from error
    background = Background()
    background.spawn(_renew(context, certificate, key), name="gateway certificate")
    try:
        yield context
    finally:
        await background.close()


async def _renew(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    from watchfiles import awatch

    # The directories: renewals replace files, and what Kubernetes mounts is a link to another directory.
    directories = {certificate.parent, key.parent}
    async for _ in awatch(*directories, debounce=DEBOUNCE_MS, step=50, recursive=False):
        try:
            _complete(certificate, key)
            await asyncio.to_thread(context.load_cert_chain, certificate, key)
        except OSError as error:
            _log.error("changed certificate is unusable; the former one stays", file=str(certificate), why=_why(error))
        else:
            _log.info("certificate read again", file=str(certificate))


def _complete(certificate: Path, key: Path) -> None:
    """Raise OSError where the two do not belong together: a context that has failed once keeps half of them."""
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)


def _why(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
