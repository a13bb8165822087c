"""`make bench` works: with small data, every row has a number."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_every_row_has_a_number_and_the_default_is_skipped_where_it_is_not_finished(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks/bench.py"), "--quick", "--output", "out"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, env=os.environ | {"MPLBACKEND": "Agg"})

    result = json.loads((tmp_path / "out/bench.json").read_text())
    *rows, share = result["rows"]
    assert len(rows) == 4
    assert all(math.isfinite(row["value"]) and row["value"] > 0 for row in rows)
    assert math.isnan(share["value"])
    assert "no finished default" in share["note"]
    (memory,) = result["MiB"].values()
    assert math.isclose(sum(memory.values()), 2 * memory["peak"])
    assert all(point["seconds"] > 0 and point["MiB"] > 0 for curve in result["growth"].values() for point in curve)
    assert (tmp_path / "out/growth.png").stat().st_size
    assert "| step of greedy / bare loop" in (tmp_path / "out/bench.md").read_text()
