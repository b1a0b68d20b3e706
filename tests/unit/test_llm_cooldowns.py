"""What schedulers tell each other: merged by maximum, and never about a secret that has been replaced."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vision_stream.llm.cooldowns import Cooldown, MemoryCooldowns, fingerprint, merge
from vision_stream.messages import decode, encode

cooldowns = st.builds(
    Cooldown,
    until=st.integers(0, 100).map(float),
    failures=st.integers(0, 3),
    disabled=st.booleans(),
    at=st.integers(0, 50).map(float),
)


@given(cooldowns, cooldowns)
def test_nothing_shortens_a_cooldown_but_a_key_that_works(a, b):
    merged, last = merge(a, b), max((a, b), key=lambda c: c.at)
    if a.at != b.at and (last.failures or last.disabled):
        assert merged.until == max(a.until, b.until)
        assert merged.disabled == last.disabled
    assert merge(merged, merged) == merged


def test_a_later_answer_takes_a_cooldown_back():
    board = MemoryCooldowns()
    board.write("key-001", Cooldown(until=60.0, failures=2, at=10.0))
    board.write("key-001", Cooldown(at=20.0))
    assert board.read()["key-001"].until == 0.0


def test_another_secret_under_the_same_id_starts_afresh():
    old, new = fingerprint("sk-old"), fingerprint("sk-new")
    merged = merge(Cooldown(disabled=True, at=1.0, fingerprint=old), Cooldown(failures=1, at=2.0, fingerprint=new))
    assert not merged.disabled
    assert merged.fingerprint == new


def test_a_cooldown_survives_the_wire():
    cooldown = Cooldown(until=12.5, failures=2, reason="429", at=10.0, fingerprint="ab")
    assert decode(encode(cooldown), Cooldown) == cooldown
