"""`sebastian doctor`: what is wrong in the running world, and what helps."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sebastian_apps.cli.options import config_option, json_option
from sebastian_apps.cli.running import print_json, quiet
from sebastian_apps.printable import printable

if TYPE_CHECKING:
    from sebastian_apps.cli.diagnosis.findings import Finding

SIGNS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "problem": ("✗", "red")}


@click.command()
@json_option
@config_option
def doctor(as_json: bool, config: Path | None) -> None:
    """Look at the configuration and at everything it names, and say what helps.

    Exit status: 0 all is fine, 1 there are warnings, 2 there are problems.

    Example: sebastian doctor -c config.yml
    """
    from sebastian_apps.cli.diagnosis.findings import exit_code

    findings = diagnosed(config)
    if as_json:
        status = ("ok", "warnings", "problems")[exit_code(findings)]
        print_json({"status": status, "findings": [each.document() for each in findings]})
    else:
        print_findings(findings)
    raise SystemExit(exit_code(findings))


def diagnosed(config: Path | None) -> list[Finding]:
    """Everything that is found; a configuration that cannot be read is a finding like others."""
    from sebastian_apps.cli.diagnosis.findings import problem
    from sebastian_apps.cli.starting import load
    from sebastian_apps.settings import SettingsError

    try:
        settings = load(config, needs={"db", "redis", "qiscus"})
    except SettingsError as error:
        remedy = "Correct it; sebastian config check tells the same."
        return [problem("config-invalid", str(each), remedy) for each in error.problems]
    from sebastian_apps.cli.diagnosis.examine import examine
    from sebastian_apps.progress import working

    with quiet(), working("Asking PostgreSQL, Redis, Qiscus and the webhook service"):
        return asyncio.run(examine(settings))


def print_findings(findings: Iterable[Finding]) -> None:
    """A line for each finding, and below it what helps."""
    is_terminal = sys.stdout.isatty()
    for each in findings:
        sign, colour = SIGNS[each.verdict]
        mark = click.style(sign, fg=colour) if is_terminal else f"{each.verdict:<7}"
        click.echo(f"{mark} {each.name}: {printable(each.text)}")
        if each.remedy:
            click.echo(f"{' ' * (2 if is_terminal else 8)}→ {printable(each.remedy)}")
