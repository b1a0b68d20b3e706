"""What the tests of deployment/ share: where things are, and programs of Debian's that they run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from vision_stream.settings import KafkaSettings
from vision_stream.worker import SLACK_S

ROOT = Path(__file__).resolve().parent.parent
DEPLOYMENT = ROOT / "deployment"
ENDS_WITHIN_S = KafkaSettings().shutdown_s + SLACK_S  # a worker that is told to end, with the broker away
PACKAGES = {"promtool": "prometheus", "prometheus": "prometheus", "kubectl": "kubernetes-client"}


def program(name: str) -> str:
    """Path of a program; where it is absent the test is skipped, and fails in CI."""
    path = shutil.which(name)
    if path is None:
        absent = f"there is no {name} on the PATH (Debian's package is `{PACKAGES[name]}`)"
        if os.environ.get("CI", "").lower() not in ("", "0", "false"):
            pytest.fail(f"CI skips nothing, but {absent}", pytrace=False)
        pytest.skip(absent)
    return path
