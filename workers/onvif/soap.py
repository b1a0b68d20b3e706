"""The requests: SOAP 1.2, with the password proven by a digest (WS-UsernameToken), never sent."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime
from xml.sax.saxutils import escape

DEVICE = "http://www.onvif.org/ver10/device/wsdl"
MEDIA = "http://www.onvif.org/ver10/media/wsdl"
MEDIA2 = "http://www.onvif.org/ver20/media/wsdl"  # the one that knows H.265
SCHEMA = "http://www.onvif.org/ver10/schema"

_OASIS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss"
_ENVELOPE = "http://www.w3.org/2003/05/soap-envelope"


@dataclass(frozen=True)
class Account:
    user: str
    password: str

    def __repr__(self) -> str:
        return f"Account({self.user!r})"


def envelope(
    body: str, account: Account | None = None, *, nonce: bytes = b"", created: datetime | None = None
) -> bytes:
    """A message with that body.

    Args:
        nonce: random bytes, never used twice; with an account.
        created: the time on the device's clock, UTC; with an account.
    """
    header = _security(account, nonce, created) if account is not None and created is not None else ""
    return (
        f'<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="{_ENVELOPE}">'
        f"<s:Header>{header}</s:Header><s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


def digest(password: str, nonce: bytes, created: str) -> str:
    """How a device checks the password: base64 of SHA-1 over nonce, time and password.

    >>> digest("userpassword", base64.b64decode("LKqI6G/AikKCQrN0zqZFlg=="), "2010-09-16T07:50:45Z")
    'tuOSpGlFlIXsozq4HFNeeGeFLEI='
    """
    return base64.b64encode(hashlib.sha1(nonce + created.encode() + password.encode()).digest()).decode()


def _security(account: Account, nonce: bytes, created: datetime) -> str:
    at = created.strftime("%Y-%m-%dT%H:%M:%SZ")
    return (
        f'<w:Security s:mustUnderstand="true" xmlns:w="{_OASIS}-wssecurity-secext-1.0.xsd" '
        f'xmlns:u="{_OASIS}-wssecurity-utility-1.0.xsd"><w:UsernameToken>'
        f"<w:Username>{escape(account.user)}</w:Username>"
        f'<w:Password Type="{_OASIS}-username-token-profile-1.0#PasswordDigest">'
        f"{digest(account.password, nonce, at)}</w:Password>"
        f'<w:Nonce EncodingType="{_OASIS}-soap-message-security-1.0#Base64Binary">'
        f"{base64.b64encode(nonce).decode()}</w:Nonce>"
        f"<u:Created>{at}</u:Created></w:UsernameToken></w:Security>"
    )


def clock() -> str:
    return f'<GetSystemDateAndTime xmlns="{DEVICE}"/>'


def information() -> str:
    return f'<GetDeviceInformation xmlns="{DEVICE}"/>'


def services() -> str:
    return f'<GetServices xmlns="{DEVICE}"><IncludeCapability>false</IncludeCapability></GetServices>'


def capabilities() -> str:
    return f'<GetCapabilities xmlns="{DEVICE}"><Category>Media</Category></GetCapabilities>'


def profiles(media: str) -> str:
    """``media``: MEDIA or MEDIA2."""
    wanted = "<Type>VideoEncoder</Type>" if media == MEDIA2 else ""
    return f'<GetProfiles xmlns="{media}">{wanted}</GetProfiles>'


def stream_uri(media: str, token: str) -> str:
    """Of the profile ``token``: RTP over the RTSP connection itself."""
    profile = f"<ProfileToken>{escape(token)}</ProfileToken>"
    if media == MEDIA2:
        return f'<GetStreamUri xmlns="{media}"><Protocol>RTSP</Protocol>{profile}</GetStreamUri>'
    return (
        f'<GetStreamUri xmlns="{media}"><StreamSetup><Stream xmlns="{SCHEMA}">RTP-Unicast</Stream>'
        f'<Transport xmlns="{SCHEMA}"><Protocol>RTSP</Protocol></Transport></StreamSetup>{profile}</GetStreamUri>'
    )
