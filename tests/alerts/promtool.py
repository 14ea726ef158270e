"""Prometheus's own tool, which says what its rules make of a series of numbers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.servers import skip_or_fail

ROOT = Path(__file__).parents[2]
RULES_FILE = ROOT / "deploy" / "alerts.yml"
RULES: Mapping[str, Mapping[str, Any]] = {
    rule["alert"]: rule
    for group in yaml.safe_load(RULES_FILE.read_text("utf-8"))["groups"]
    for rule in group["rules"]
}
STEP = "15s"
ENOUGH = "60m"


def promtool() -> str:
    """Where it is; skips the test without one, and fails it in CI."""
    beside = Path(sys.executable).parent / "promtool"
    found = os.environ.get("PROMTOOL") or shutil.which("promtool") or shutil.which(str(beside))
    return found or skip_or_fail("there is no promtool: scripts/alert-tests prepare brings it")


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """What it says."""
    return subprocess.run(
        [promtool(), *map(str, arguments)], capture_output=True, text=True, check=False
    )


def a_test(series: Mapping[str, str], alerts: Sequence[str], at: str = ENOUGH) -> dict[str, Any]:
    """That of all rules these alerts fire at that moment, and no others."""
    samples = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(alerts)]
    firing = 'max by (alertname) (ALERTS{alertstate="firing"})'
    return {
        "interval": STEP,
        "input_series": [{"series": name, "values": each} for name, each in series.items()],
        "promql_expr_test": [{"expr": firing, "eval_time": at, "exp_samples": samples}],
    }


def judge(folder: Path, tests: Sequence[Mapping[str, Any]]) -> None:
    """Fail unless the rules as shipped do what the tests expect."""
    file = folder / "alerts.test.yml"
    document = {
        "rule_files": [str(RULES_FILE)],
        "evaluation_interval": STEP,
        "tests": list(tests),
    }
    file.write_text(yaml.safe_dump(document), "utf-8")
    done = run("test", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr
