"""CI's share of the fault suite: a round each of the rows that fit, chosen by the date."""

from __future__ import annotations

import os
import random
from datetime import UTC, datetime

import pytest

from tests.faults.rows import ROWS
from tests.faults.suite.plan import Round, affordable
from tests.faults.suite.play import play_all
from tests.faults.suite.row import Setting
from tests.faults.suite.surroundings import missing

WITHIN_S = 210.0
SCENE_S = 15.0  # its start and end
SEED = int(os.environ.get("FAULT_SEED", datetime.now(UTC).strftime("%Y%m%d")))
PLAYABLE = [row for row in ROWS if not missing(row)]
CHOSEN = affordable(PLAYABLE, within_s=WITHIN_S, scene_s=SCENE_S, rng=random.Random(SEED))
BY_SETTING: dict[Setting, list[Round]] = {}
for _row in CHOSEN:
    BY_SETTING.setdefault(_row.setting, []).append(Round(_row, SEED))


@pytest.mark.slow
@pytest.mark.kafka
@pytest.mark.timeout(900)
@pytest.mark.parametrize("planned", BY_SETTING.values(), ids=lambda planned: "+".join(one.row.name for one in planned))
async def test_a_round_of_these_faults_loses_nothing(planned: list[Round]):
    print(f"FAULT_SEED={SEED}")
    records = []
    async for record in play_all(planned):
        print(record, flush=True)
        records.append(record)

    assert [str(record) for record in records if record.failed] == []
