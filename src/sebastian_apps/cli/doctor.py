"""`sebastian doctor`: what is wrong in the running world, and what helps."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sebastian_apps.entry.options import config_option, json_option
from sebastian_apps.entry.run import print_json, quiet
from sebastian_apps.printable import printable

if TYPE_CHECKING:
    from sebastian_apps.status.checks import CheckResult

SIGNS = {
    "ok": ("✓", "green"),
    "notice": ("i", "blue"),
    "warning": ("!", "yellow"),
    "problem": ("✗", "red"),
}


@click.command()
@json_option
@config_option
def doctor(as_json: bool, config: Path | None) -> None:
    """Look at the configuration and at everything it names, and say what helps.

    Exit status: 0 all is fine, 1 there are warnings, 2 there are problems.

    Example: sebastian doctor -c config.yml
    """
    findings = diagnosed(config)
    if as_json:
        status = ("ok", "warnings", "problems")[exit_code(findings)]
        print_json({"status": status, "findings": [_document(each) for each in findings]})
    else:
        print_findings(findings)
    raise SystemExit(exit_code(findings))


def diagnosed(config: Path | None) -> list[CheckResult]:
    """Everything that is found; a configuration that cannot be read is a finding like others."""
    from sebastian_apps.entry.startup import load
    from sebastian_apps.settings import SettingsError
    from sebastian_apps.status.checks import problem

    try:
        settings = load(config, needs={"db", "redis", "qiscus"})
    except SettingsError as error:
        remedy = "Correct it; sebastian config check tells the same."
        return [problem("config-invalid", str(each), remedy) for each in error.problems]
    from sebastian_apps.cli.examine import examine
    from sebastian_apps.observability.progress import working

    with quiet(), working("Asking PostgreSQL, Redis, Qiscus and the webhook service"):
        return asyncio.run(examine(settings))


def print_findings(findings: Iterable[CheckResult]) -> None:
    """A line for each finding, and below it what helps."""
    is_terminal = sys.stdout.isatty()
    for each in findings:
        sign, colour = SIGNS[each.level]
        mark = click.style(sign, fg=colour) if is_terminal else f"{each.level:<7}"
        click.echo(f"{mark} {each.name}: {printable(each.text)}")
        if each.remedy:
            click.echo(f"{' ' * (2 if is_terminal else 8)}→ {printable(each.remedy)}")


def exit_code(findings: Iterable[CheckResult]) -> int:
    """0 if nothing has to be done, 1 with warnings, 2 with problems."""
    levels = {str(finding.level) for finding in findings}
    return 2 if "problem" in levels else int("warning" in levels)


def _document(finding: CheckResult) -> dict[str, str]:
    return {
        "name": finding.name,
        "verdict": finding.level,
        "text": finding.text,
        "remedy": finding.remedy,
    }
