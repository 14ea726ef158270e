"""`sebastian config`: write, check and describe the configuration."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from attrs import frozen

from sebastian_apps.cli.config_file import file_text, write_private
from sebastian_apps.entry.options import HintingGroup, config_option
from sebastian_apps.entry.run import quiet

if TYPE_CHECKING:
    from sebastian_apps.settings import Settings
    from sebastian_apps.status.checks import CheckResult

INVALID = 2


@click.group(cls=HintingGroup)
@config_option
def config(config: Path | None) -> None:
    """Write, check and describe the configuration.

    Example: sebastian config init
    """


@config.command()
@click.option("--offline", is_flag=True, help="Look at the file only, at nothing that it names.")
@config_option
def check(offline: bool, config: Path | None) -> None:
    """Tell everything that is wrong with the configuration, and what to be warned of.

    Exit status: 0 the file is valid, even where something that it names does not answer (told as a
    problem); 2 it cannot be used.

    Example: sebastian config check -c config.yml
    """
    from sebastian_apps.cli.doctor import print_findings
    from sebastian_apps.cli.examine import POLICY_UNUSABLE
    from sebastian_apps.entry.startup import config_path, read_settings
    from sebastian_apps.status.checks import Level

    settings = read_settings(config, needs={"db", "redis", "qiscus", "exposure"})
    found = _looked_at(settings) if offline else _examined(settings)
    print_findings(each for each in found if each.level is not Level.OK)
    if any(each.name == POLICY_UNUSABLE for each in found):
        raise SystemExit(INVALID)
    click.echo(f"{config_path(config) or 'the environment'} can be used")


def _looked_at(settings: Settings) -> list[CheckResult]:
    from sebastian_apps.cli.examine import try_own_policy
    from sebastian_apps.observability.progress import working
    from sebastian_apps.status.configuration import check_secrets

    with working("Reading what the file says"):
        return [*check_secrets(settings), *try_own_policy(settings)]


def _examined(settings: Settings) -> list[CheckResult]:
    from sebastian_apps.cli.examine import examine
    from sebastian_apps.observability.progress import working

    with quiet(), working("Asking everything that the file names"):
        return asyncio.run(examine(settings, running=False))


@config.command()
def schema() -> None:
    """Print a JSON Schema of the file, for editors.

    Example: sebastian config schema > sebastian.schema.json
    """
    from sebastian_apps.settings import json_schema

    click.echo(json.dumps(json_schema(), indent=2))


@frozen
class Question:
    """What `config init` asks for one key; without an answer, the default is written."""

    path: str
    text: str
    default: Callable[[], str] | None = None
    is_hidden: bool = False


QUESTIONS = (
    Question("qiscus.app_id", "App id of the Qiscus account (Settings > App Information)"),
    Question("qiscus.secret_key", "Secret key of the account", is_hidden=True),
    Question(
        "db.connection_string",
        "PostgreSQL",
        lambda: "postgresql://sebastian@localhost:5432/sebastian",
    ),
    Question("redis.url", "Redis", lambda: "redis://localhost:6379/0"),
    Question("webhook.base_url", "Public address under which Qiscus reaches this service"),
    Question("webhook.max_current_customer", "Customers an agent may have at once", lambda: "3"),
)
MADE = ("webhook.token", "admin.token")


@config.command("init")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@config_option
def initialise(force: bool, config: Path | None) -> None:
    """Ask a few questions and write a configuration, tokens included.

    Example: sebastian config init -c config.yml
    """
    path = config or Path("config.yml")
    if path.exists() and not force:
        raise click.ClickException(f"{path} is there already; --force replaces it.")
    given = {question.path: _ask(question) for question in QUESTIONS}
    given |= {name: secrets.token_urlsafe(24) for name in MADE}
    write_private(path, file_text(given))
    click.echo(f"Wrote {path} (only you can read it). Next: sebastian migrate, sebastian doctor")


def _ask(question: Question) -> str:
    answer: str = click.prompt(
        question.text,
        default=question.default() if question.default else None,
        hide_input=question.is_hidden,
        value_proc=lambda text: _valid(question.path, text),
    )
    return answer


def _valid(path: str, text: str) -> str:
    from sebastian_apps.settings import SettingsError, all_keys, load_settings

    variable = next(key.variables[0] for key in all_keys() if key.path == path)
    try:
        load_settings(None, {variable: text})
    except SettingsError as error:
        raise click.UsageError(error.problems[0].message) from error
    return text
