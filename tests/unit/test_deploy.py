"""The files of `deploy/` name what exists: as far as that can be seen without running them."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from sebastian_apps.settings import all_keys, load_settings
from tests import canaries

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROGRAMS = set(PROJECT["project"]["scripts"])
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yml").read_text("utf-8"))
OURS = {name: service for name, service in COMPOSE["services"].items() if "build" in service}
CONTAINERFILE = (DEPLOY / "Containerfile").read_text("utf-8")


def test_the_container_copies_what_there_is_and_starts_a_program_of_ours() -> None:
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", CONTAINERFILE, re.MULTILINE)
    command = re.search(r"^CMD (\[.*\])$", CONTAINERFILE, re.MULTILINE)

    assert copied
    assert all((ROOT / name).exists() for line in copied for name in line.split())
    assert command is not None
    assert json.loads(command[1])[0] in PROGRAMS


def test_the_container_makes_our_wheel_where_the_build_backend_is() -> None:
    (builder,) = re.findall(r"(\S+)/bin/pip wheel .*--no-build-isolation", CONTAINERFILE)
    lock = re.search(rf"{builder}/bin/pip install .*-r (\S+)", CONTAINERFILE)

    assert lock is not None
    pinned = set(re.findall(r"^([\w-]+)==", (ROOT / lock[1]).read_text("utf-8"), re.MULTILINE))
    wanted = PROJECT["build-system"]["requires"]
    assert {re.split(r"[<>=]", name)[0] for name in wanted} <= pinned


def test_the_services_of_the_compose_file_are_programs_of_ours() -> None:
    assert {service["command"][0] for service in OURS.values()} == PROGRAMS


def test_the_compose_file_sets_what_can_be_set() -> None:
    known = {key.variables[0] for key in all_keys()} | {"PGPASSWORD"}

    for service in OURS.values():
        assert set(service["environment"]) <= known


@pytest.mark.parametrize("password", [canaries.DATABASE_PASSWORD, "57#x", "a b", "'", "\\"])
def test_the_compose_file_works_with_any_password_of_the_database(password: str) -> None:
    """None stands where it would have to be encoded; what the services get is what was chosen."""
    chosen = {"POSTGRES_PASSWORD": password, "QT_WEBHOOK_BASE_URL": "https://sebastian.example.com"}

    def filled_in(found: re.Match[str]) -> str:
        return chosen.get(found[1], f"{found[1]}-0123456789")

    for service in OURS.values():
        environ = {
            name: re.sub(r"\$\{(\w+):\?\}", filled_in, value)
            for name, value in service["environment"].items()
        }

        settings = load_settings(None, environ, role="webhook")

        assert str(settings.db.connection_string) == "postgresql://***@postgres:5432/sebastian"
        assert password not in settings.db.connection_string.reveal()  # type: ignore[union-attr]
        assert environ["PGPASSWORD"] == password
    server = COMPOSE["services"]["postgres"]["environment"]
    assert server["POSTGRES_PASSWORD"] == OURS["webhook"]["environment"]["PGPASSWORD"]


def test_prometheus_scrapes_where_the_webhook_service_listens() -> None:
    scraping = yaml.safe_load((DEPLOY / "prometheus.yml").read_text("utf-8"))

    (job,) = scraping["scrape_configs"]
    (target,) = (each for group in job["static_configs"] for each in group["targets"])
    listen = load_settings(None, {}).listen
    assert target == f"{listen.host}:{listen.port}"
    assert all((DEPLOY / name).is_file() for name in scraping["rule_files"])


def test_every_service_waits_for_services_that_there_are() -> None:
    for service in COMPOSE["services"].values():
        assert set(service.get("depends_on", {})) <= set(COMPOSE["services"])


def unit_of(path: Path) -> configparser.RawConfigParser:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(path, "utf-8")
    return unit


UNITS = sorted((DEPLOY / "systemd").glob("*.service"))


def test_the_socket_is_handed_to_the_services_that_say_so() -> None:
    socket = unit_of(DEPLOY / "systemd" / "sebastian-webhook.socket")["Socket"]
    takers = [path.name for path in UNITS if "Sockets" in unit_of(path)["Service"]]

    assert socket["ListenStream"].endswith(":3000")
    assert takers == [socket["Service"].replace("@1", "@")]


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_starts_a_program_of_ours_and_gives_it_time_to_end(path: Path) -> None:
    service = unit_of(path)["Service"]

    for key in ("ExecStart", "ExecStartPre"):
        if key in service:
            assert Path(shlex.split(service[key])[0]).name in PROGRAMS
    assert int(service["TimeoutStopSec"]) > 10
