"""docs/llm-endpoints.md: each configuration on it is valid as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vision_stream.config import load

PAGE = Path(__file__).parents[2] / "docs" / "llm-endpoints.md"
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
SECRETS: dict[str, str] = dict.fromkeys(("OPENAI_API_KEY", "DASHSCOPE_API_KEY", "VLLM_API_KEY"), "sk-canary-canary")


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.split("id: ")[1].split()[0])
def test_a_configuration_on_the_page_is_valid(block, tmp_path):
    (tmp_path / "api_keys.yaml").write_text(block)
    assert load(tmp_path, environ=SECRETS).llm.keys


def test_the_four_kinds_of_endpoint_are_there():
    assert len(BLOCKS) == 4
