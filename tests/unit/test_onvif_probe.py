from __future__ import annotations

import pytest

from workers.onvif.probe import MOST_DEVICES, Answers, question, read

OURS = "urn:uuid:1"
CAMERA = "http://10.0.0.5/onvif/device_service"


def an_answer(*addresses: str, scopes: str = "", relates_to: str = OURS, doctype: str = "") -> bytes:
    return f"""<?xml version="1.0"?>{doctype}<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"
    xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"><s:Header><RelatesTo>{relates_to}</RelatesTo></s:Header>
    <s:Body><d:ProbeMatches><d:ProbeMatch><d:Scopes>{scopes}</d:Scopes><d:XAddrs>{" ".join(addresses)}</d:XAddrs>
    </d:ProbeMatch></d:ProbeMatches></s:Body></s:Envelope>""".encode()


def test_an_answer_says_where_the_camera_is_asked_and_how_it_calls_itself():
    scopes = "onvif://www.onvif.org/type/video_encoder onvif://www.onvif.org/name/North%20gate"
    (found,) = read(an_answer(CAMERA, scopes=scopes), "10.0.0.5", [OURS])
    assert (found.host, found.addresses, found.name) == ("10.0.0.5", (CAMERA,), "North gate")


def test_an_answer_to_somebody_elses_question_is_passed_over():
    assert not list(read(an_answer(CAMERA, relates_to="urn:uuid:2"), "10.0.0.5", [OURS]))


@pytest.mark.parametrize(
    "address",
    [
        "http://10.0.0.6/onvif/device_service",
        "http://169.254.169.254/latest",
        "http://10.0.0.5@10.0.0.6/onvif",
        "http://10.0.0.5.example.org/onvif",
        "file:///etc/passwd",
        "gopher://10.0.0.5/",
        "http://10.0.0.5:99999/",
        "http://[::1/",
        "//10.0.0.5/onvif",
        "",
    ],
)
def test_an_address_that_is_not_the_senders_is_not_asked(address: str):
    assert all(found.addresses == () for found in read(an_answer(address), "10.0.0.5", [OURS]))


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\xff\xfe" + OURS.encode(),
        OURS.encode(),
        b"<a>" * 20_000 + OURS.encode(),
        an_answer(CAMERA, doctype=BOMB),
        an_answer(CAMERA, doctype='<!DOCTYPE x SYSTEM "http://10.0.0.6/x.dtd">'),
        an_answer(CAMERA) + b" " * 70_000,
        an_answer(CAMERA).replace(b'version="1.0"', b'version="1.0" encoding="no-such"'),
    ],
    ids=["empty", "binary", "no-xml", "deep", "bomb", "external", "large", "encoding"],
)
def test_hostile_datagrams_are_passed_over(datagram: bytes):
    assert list(read(datagram, "10.0.0.5", [OURS])) == []


def test_a_camera_that_answers_on_several_interfaces_is_one_camera():
    answers = Answers(frozenset({OURS}))
    answers.take(an_answer("http://10.9.9.9/x"), "10.0.0.5")
    answers.take(an_answer(CAMERA), "10.0.0.5")
    answers.take(an_answer("http://10.9.9.9/x"), "10.0.0.5")
    assert [found.addresses for found in answers.found.values()] == [(CAMERA,)]


def test_a_flood_of_devices_ends_at_a_limit():
    answers = Answers(frozenset({OURS}))
    for number in range(MOST_DEVICES + 10):
        answers.take(an_answer(), f"10.0.{number // 250}.{number % 250}")
    assert len(answers.found) == MOST_DEVICES


def test_a_name_holds_nothing_that_steers_a_terminal():
    scopes = "onvif://www.onvif.org/name/Gate%1b%5b31m%0a%e2%80%ae"
    (found,) = read(an_answer(CAMERA, scopes=scopes), "10.0.0.5", [OURS])
    assert found.name == "Gate [31m"


def test_the_question_is_a_probe_with_an_id_of_its_own():
    assert b"<a:MessageID>urn:uuid:7</a:MessageID>" in question("devices", "urn:uuid:7")
