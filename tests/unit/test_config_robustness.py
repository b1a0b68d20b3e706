"""Whatever stands in a file or a variable: settings, or an error in five lines; never a traceback, never a secret."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from vision_stream.config import InvalidConfig, load
from vision_stream.config.files import FILES
from vision_stream.config.schema import variables

CANARY = "canary-5f2c"
SHIPPED = Path(__file__).parents[2] / "config"

leaf_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=10),
    st.just(CANARY),
    st.dates(),
)
values = st.recursive(
    leaf_values,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=3,
)
names = st.sampled_from(
    [
        "keys",
        "id",
        "api_key",
        "api_key_file",
        "cooling",
        "cameras",
        "source",
        "topics",
        "gateway",
        "token",
        "redis",
        "url",
    ]
)
entries = st.dictionaries(names, values, max_size=3)
documents = st.dictionaries(names, entries | st.lists(entries, max_size=2) | values, max_size=4)
bounded = settings(deadline=None, max_examples=60)


def error_of(directory: str | None = None, environ: dict[str, str] | None = None) -> InvalidConfig | None:
    try:
        repr(load(Path(directory) if directory else None, environ=environ or {}))
    except InvalidConfig as error:
        return error
    return None


def outcome_of(file: str, content: bytes) -> str:
    """All that a person could be shown."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, file).write_bytes(content)
        error = error_of(directory)
    if error is None:
        return ""
    assert error.problems
    assert all(len(str(problem).splitlines()) <= 5 for problem in error.problems)
    return f"{error} {error.__context__!r}"


@bounded
@given(st.sampled_from(sorted(FILES)), st.binary(max_size=60))
def test_any_bytes_are_settings_or_an_explained_error(file: str, content: bytes):
    outcome_of(file, content)


@bounded
@given(st.sampled_from(sorted(FILES)), documents)
def test_any_yaml_is_settings_or_an_explained_error(file: str, document: dict):
    outcome_of(file, yaml.safe_dump(document, allow_unicode=True).encode())


@bounded
@given(st.sampled_from(["", "!", "*", "&", "%", "'", '"', "`", "|", "- ", "{", "[", "@", "? ", "<<: *"]), st.data())
def test_no_secret_shows_however_its_line_is_broken(before: str, data: st.DataObject):
    after = data.draw(st.sampled_from(["", "'", '"', "}", "]", ": x", " #", "\t", "\n\tx", ",", "&", "!"]))
    lines = data.draw(
        st.sampled_from(
            ["keys:\n- id: a\n  api_key: %s\n", "keys: [{id: a, api_key: %s}]\n", "keys:\n- api_key: %s\n  id\n"]
        )
    )

    assert CANARY not in outcome_of("api_keys.yaml", (lines % f"{before}{CANARY}{after}").encode())


@bounded
@given(st.sampled_from(sorted(FILES)), st.integers(min_value=0), st.binary(min_size=1, max_size=3))
def test_a_damaged_shipped_file_is_settings_or_an_explained_error(file: str, where: int, damage: bytes):
    content = (SHIPPED / file).read_bytes()
    cut = where % len(content)

    outcome_of(file, content[:cut] + damage + content[cut + len(damage) :])


@bounded
@given(st.sampled_from(sorted(variables())), st.text(st.characters(exclude_characters="\0"), max_size=20))
def test_any_text_in_a_variable_is_settings_or_an_explained_error(name: str, text: str):
    error = error_of(environ={name: text})

    assert error is None or all(problem.place.variable == name for problem in error.problems)


@pytest.fixture(autouse=True, scope="module")
def in_an_empty_directory(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("empty"))
        yield
