"""``vision-stream audit`` over the last minutes of a run: the gate, the joins and the tables replayed, the budget."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from tests.faults.harness.world import ROOT
from tests.soak.stage import Stage

WITHIN_S = 600.0
FINDINGS_KEPT = 100


async def audit(stage: Stage, *, since: str) -> dict[str, Any]:
    """Its findings and what it judged, ready for the journal; ``error`` where it did not come to an end."""
    books = Path(stage.environ["ALGO_DATA_DIR"]) / "limits"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "vision_stream", "audit", "--json", "--since", since, "--settle", "30",
        "--llm-calls", stage.llm_url, "--books", str(books),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=ROOT, env={**os.environ, **stage.environ},
    )  # fmt: skip
    try:
        async with asyncio.timeout(WITHIN_S):
            said, told = await process.communicate()
        report = msgspec.json.decode(said)
    except (TimeoutError, msgspec.DecodeError) as error:
        with suppress(ProcessLookupError):
            process.kill()
        return {"error": f"{error!r} {told.decode()[-500:] if process.returncode is not None else ''}"}
    return {
        "findings": [f"{f['invariant']} {f['id']}: {f['what']}" for f in report["findings"][:FINDINGS_KEPT]],
        "checked": report["checked"],
        "repeats": report["repeats"],
        "undecided": report["undecided"],
    }
