"""What one device says of itself: its model, its profiles and their streams. All calls together have one deadline."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element

import aiohttp

from workers.onvif import soap, streams
from workers.onvif.answers import BadAnswer, Fault, body_of, every, first, number, text
from workers.onvif.soap import Account

LARGEST = 1024 * 1024  # bytes of an answer
MOST_PROFILES = 32
FURTHEST = timedelta(days=36525)  # that a clock is off, 100 years: one that was never set is at 1970
SHORT = 80  # characters of a name
HEADERS = {"Content-Type": "application/soap+xml; charset=utf-8", "Accept-Encoding": "identity"}


@dataclass(frozen=True)
class Profile:
    name: str
    width: int | None  # pixels
    height: int | None
    fps: float | None
    codec: str
    stream: str | None  # without user and password; None: see `why`
    why: str = ""


@dataclass(frozen=True)
class Device:
    maker: str
    model: str
    profiles: tuple[Profile, ...]


class NotAnswered(Exception):
    """The device could not be asked; why, in words."""


class DeviceClient:
    """Asks one service of one host. Redirects are not followed: the proof of the password is for that host alone."""

    def __init__(self, session: aiohttp.ClientSession, url: str, account: Account | None, *, elsewhere: bool) -> None:
        self._session = session
        self._url = url
        self._host = urlsplit(url).hostname or ""
        self._account = account
        self._elsewhere = elsewhere
        self._ahead = timedelta()  # of the device's clock

    async def describe(self, *, within_s: float) -> Device:
        """
        Raises:
            NotAnswered: it cannot be asked, or says nothing usable.
        """
        try:
            async with asyncio.timeout(within_s):
                return await self._describe()
        except TimeoutError:
            raise NotAnswered(f"no answer within {within_s:g} s") from None
        except Fault as fault:
            raise NotAnswered(self._refusal() if fault.unauthorised else f"it refuses: {fault}") from None
        except BadAnswer as error:
            raise NotAnswered(str(error)) from None
        except aiohttp.ClientConnectorCertificateError:
            raise NotAnswered("its certificate is signed by nobody known here") from None
        except aiohttp.ClientConnectorError as error:
            raise NotAnswered(f"no connection: {error.os_error.strerror or type(error.os_error).__name__}") from None
        except (aiohttp.ClientError, OSError, ValueError, OverflowError) as error:
            raise NotAnswered(f"no answer that HTTP allows ({type(error).__name__})") from None

    def _refusal(self) -> str:
        return "401: user or password is wrong" if self._account else "401: it wants a user and a password (--user)"

    async def _describe(self) -> Device:
        await self._read_clock()
        about = await self._ask(self._url, soap.information())
        media = await self._media()
        profiles: list[Profile] = []
        for kind, url in media:
            profiles = await self._profiles(kind, url)
            if profiles:
                break
        return Device(text(about, "Manufacturer")[:SHORT], text(about, "Model")[:SHORT], tuple(profiles))

    async def _read_clock(self) -> None:
        """A device whose clock is wrong takes no proof of our time; this one call needs none."""
        try:
            now = first(await self._ask(self._url, soap.clock(), proven=False), "UTCDateTime")
        except (Fault, BadAnswer):
            return
        fields = [text(now, part) for part in ("Year", "Month", "Day", "Hour", "Minute", "Second")]
        try:
            ahead = datetime(*map(int, fields), tzinfo=UTC) - datetime.now(UTC)  # type: ignore[arg-type]
        except (ValueError, OverflowError):
            return
        if abs(ahead) <= FURTHEST:
            self._ahead = ahead

    async def _media(self) -> list[tuple[str, str]]:
        """Namespaces and addresses of its media services, the newer first."""
        try:
            services = await self._ask(self._url, soap.services())
        except BadAnswer:
            services = None
        except Fault as fault:
            if fault.unauthorised:
                raise
            services = None
        found = (
            {text(each, "Namespace"): text(each, "XAddr") for each in every(services, "Service")} if services else {}
        )
        media = [(kind, self._here(found[kind])) for kind in (soap.MEDIA2, soap.MEDIA) if found.get(kind)]
        if media:
            return media
        address = text(await self._ask(self._url, soap.capabilities()), "Media", "XAddr")
        return [(soap.MEDIA, self._here(address) if address else self._url)]

    def _here(self, address: str) -> str:
        """Its path on this host: behind a translated address a device names one that is not reached from here."""
        own, named = urlsplit(self._url), urlsplit(address)
        port = named.port if named.hostname == own.hostname else own.port
        where = f"{own.hostname}:{port}" if port else own.hostname
        return f"{own.scheme}://{where}{named.path or '/'}"

    async def _profiles(self, media: str, url: str) -> list[Profile]:
        try:
            body = await self._ask(url, soap.profiles(media))
        except (Fault, BadAnswer) as error:
            if media == soap.MEDIA or (isinstance(error, Fault) and error.unauthorised):
                raise
            return []
        found = [each for each in every(body, "Profiles") if first(each, "Resolution") is not None]
        return [await self._profile(media, url, each) for each in found[:MOST_PROFILES]]

    async def _profile(self, media: str, url: str, profile: Element) -> Profile:
        encoder = first(profile, "VideoEncoder")
        if encoder is None:
            encoder = first(profile, "VideoEncoderConfiguration")
        stream, why = None, ""
        try:
            answer = await self._ask(url, soap.stream_uri(media, profile.get("token", "")))
            stream = streams.checked(text(answer, "Uri"), host=self._host, elsewhere=self._elsewhere)
        except streams.Refused as refused:
            why = str(refused)
        except (Fault, BadAnswer) as error:
            why = str(error)
        width, height = (number(encoder, "Resolution", side, most=100_000) for side in ("Width", "Height"))
        return Profile(
            name=(text(profile, "Name") or profile.get("token", ""))[:SHORT],
            width=int(width) if width is not None else None,
            height=int(height) if height is not None else None,
            fps=number(encoder, "FrameRateLimit", most=1000),
            codec=text(encoder, "Encoding")[:20].lower(),
            stream=stream,
            why=why,
        )

    async def _ask(self, url: str, body: str, *, proven: bool = True) -> Element:
        account = self._account if proven else None
        created = datetime.now(UTC) + self._ahead
        message = soap.envelope(body, account, nonce=secrets.token_bytes(16), created=created)
        async with self._session.post(url, data=message, headers=HEADERS, allow_redirects=False) as answer:
            raw = await answer.content.read(LARGEST + 1)
            while len(raw) <= LARGEST and (more := await answer.content.read(LARGEST + 1 - len(raw))):
                raw += more
            if len(raw) > LARGEST:
                raise BadAnswer("its answer is too large")
            if answer.status == 401:
                raise Fault("not authorised", unauthorised=True)
            if answer.status not in (200, 400, 403, 500):  # faults come with the last three
                raise BadAnswer(f"it answers with HTTP {answer.status}")
            return body_of(raw)
