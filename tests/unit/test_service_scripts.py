"""The scripts of the three shells say the same, in the form that their shells want. Only the .sh ones are ever run."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
WORDS = ("start", "stop")


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize(("suffix", "arguments"), [("sh", '"$@"'), ("ps1", "@args"), ("bat", "%*")])
def test_each_passes_everything_to_the_one_command(word: str, suffix: str, arguments: str):
    text = (SCRIPTS / f"{word}_streaming_services.{suffix}").read_text()
    assert f"-m vision_stream services {word} {arguments}" in text
    if suffix != "sh":
        assert "never run on Windows" in text


@pytest.mark.parametrize("word", WORDS)
def test_cmd_gets_its_line_ends(word: str):
    content = (SCRIPTS / f"{word}_streaming_services.bat").read_bytes()
    assert content.count(b"\n") == content.count(b"\r\n") > 5


@pytest.mark.parametrize("word", WORDS)
def test_sh_reads_its_script_and_may_run_it(word: str):
    script = SCRIPTS / f"{word}_streaming_services.sh"
    assert script.stat().st_mode & 0o111
    subprocess.run(["sh", "-n", str(script)], check=True, timeout=10)
