"""How many tokens a call will take, before it is made: rather too many, because limits and budgets must hold."""

from __future__ import annotations

import math

from vision_stream.llm.prompts import Prompt

CHARACTERS = 3.0  # a token of JSON and English. More: a limit counted in tokens is exceeded. Fewer: less of it is used.
SCHEMA = 250  # of the answer's schema and the messages' frame
PICTURE = 1100  # 768 px at the dearest of OpenAI, DashScope and Gemini


def estimated(prompt: Prompt) -> int:
    """Input tokens of a prompt.

    >>> estimated(Prompt("s" * 300, "f" * 300, None))
    450
    """
    characters = len(prompt.system) + len(prompt.facts)
    return math.ceil(characters / CHARACTERS) + SCHEMA + (PICTURE if prompt.picture is not None else 0)
