"""The XML that devices send: read without entities, and by local names, as devices differ in prefixes and versions."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

LONGEST = 500  # characters of a text


class BadAnswer(Exception):
    """It is no SOAP, or not what was asked for."""


class Fault(Exception):
    """The device refuses; the text is the device's own, cleaned."""

    def __init__(self, reason: str, *, unauthorised: bool) -> None:
        super().__init__(reason)
        self.unauthorised = unauthorised


def body_of(answer: bytes) -> Element:
    """The SOAP body of an answer, whose size is bounded already.

    Raises:
        BadAnswer: it is no SOAP, or has a DTD or entities.
        Fault: it is a fault.
    """
    try:
        body = first(fromstring(answer, forbid_dtd=True), "Body")
    except (ParseError, DefusedXmlException, ValueError, LookupError, RecursionError) as error:
        raise BadAnswer(f"its answer is no XML that is read here ({type(error).__name__})") from None
    if body is None:
        raise BadAnswer("its answer is no SOAP message")
    fault = first(body, "Fault")
    if fault is not None:
        raise _fault(fault)
    return body


def local(element: Element) -> str:
    """The name without its namespace."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def every(element: Element, name: str) -> Iterator[Element]:
    return (found for found in element.iter() if local(found) == name)


def first(element: Element | None, *path: str) -> Element | None:
    """The first descendant of that name, and below it the next of the ``path``."""
    for name in path:
        element = next(every(element, name), None) if element is not None else None
    return element


def text(element: Element | None, *path: str) -> str:
    """The text there, cleaned; empty where there is none."""
    found = first(element, *path)
    return clean(found.text or "") if found is not None else ""


def number(element: Element | None, *path: str, most: float) -> float | None:
    """The number there; None where there is none between 0 and ``most``."""
    try:
        value = float(text(element, *path))
    except ValueError:
        return None
    return value if 0 < value <= most else None


def clean(raw: str) -> str:
    """One line of what a terminal may show: no control or invisible characters, bounded.

    >>> clean(" Hall \\x1b[31m\\n 2 ")
    'Hall [31m 2'
    """
    shown = "".join(char if char.isprintable() else " " for char in raw[: 4 * LONGEST])
    return " ".join(shown.split())[:LONGEST]


def _fault(fault: Element) -> Fault:
    codes = " ".join((value.text or "") for value in every(fault, "Value"))
    reason = text(fault, "Text") or text(fault, "faultstring") or "a fault without a reason"
    unauthorised = "NotAuthorized" in codes or "FailedAuthentication" in codes or "not authorized" in reason.lower()
    return Fault(reason, unauthorised=unauthorised)
