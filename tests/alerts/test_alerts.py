"""Each alert as shipped fires when it should, and is silent otherwise; promtool says so."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from sebastian_apps.status.heartbeat import WorkerStatus
from tests.alerts.promtool import RULES, a_test, judge, run
from tests.browser.stages import busy
from tests.webhook_service import webhook_service


def check(name: str, level: str = "warning", about: str = "") -> str:
    """The series of a thing that is not as it should be."""
    return f'sebastian_check{{instance="a",check="{name}",about="{about}",level="{level}"}}'


def holds(value: float) -> str:
    """The same number all the time."""
    return f"{value}x240"


CALM: Mapping[str, str] = {
    'sebastian_database_up{instance="a"}': holds(1),
    'sebastian_chats_waiting{instance="a"}': holds(2),
    'sebastian_chats_ready{instance="a"}': holds(0),
    'sebastian_chats_stuck{instance="a"}': holds(0),
    'sebastian_slots{instance="a",state="free"}': holds(3),
    'sebastian_differences_repaired_total{instance="a"}': holds(7),
    'sebastian_wrong_tokens_total{instance="a",outcome="refused"}': holds(2),
    'sebastian_webhooks_total{instance="a",outcome="admitted"}': "0+30x240",
    'sebastian_webhooks_total{instance="a",outcome="failed"}': holds(0),
    'sebastian_webhook_seconds_bucket{instance="a",le="0.1"}': "0+30x240",
    'sebastian_webhook_seconds_bucket{instance="a",le="1"}': "0+30x240",
    'sebastian_webhook_seconds_bucket{instance="a",le="+Inf"}': "0+30x240",
}
"""A floor on which nothing is wrong, told by one webhook service."""

FIRING: Mapping[str, Mapping[str, str]] = {
    "SebastianDatabaseAway": {'sebastian_database_up{instance="a"}': holds(0)},
    "SebastianNoWorker": {check("no-worker", "problem"): holds(1)},
    "SebastianWebhookDown": {'sebastian_database_up{instance="a"}': "_x240"},
    "SebastianCredentialsRefused": {check("worker-credentials-refused", "problem"): holds(1)},
    "SebastianPlatformDown": {check("worker-platform-down", "problem"): holds(1)},
    "SebastianNobodyOnline": {check("nobody-online", "problem"): holds(1)},
    "SebastianNobodyFree": {check("nobody-free"): holds(1)},
    "SebastianLineLong": {check("line-long"): holds(1)},
    "SebastianLineGrowing": {check("line-growing"): holds(1)},
    "SebastianIdleSlots": {'sebastian_chats_ready{instance="a"}': holds(2)},
    "SebastianStuckChats": {'sebastian_chats_stuck{instance="a"}': holds(1)},
    "SebastianPresenceOld": {check("roster-old"): holds(1)},
    "SebastianRedisAway": {check("redis-refuses", "problem"): holds(1)},
    "SebastianPolicySuspended": {check("policy-suspended"): holds(1)},
    "SebastianTokensGuessed": {
        'sebastian_wrong_tokens_total{instance="a",outcome="refused"}': "0+2x240"
    },
    "SebastianWebhooksFailing": {
        'sebastian_webhooks_total{instance="a",outcome="failed"}': "0+1x240"
    },
    "SebastianWebhooksSlow": {
        'sebastian_webhook_seconds_bucket{instance="a",le="0.1"}': "0+10x240"
    },
    "SebastianDrift": {'sebastian_differences_repaired_total{instance="a"}': "0+1x240"},
    "SebastianDutiesFailing": {check("duty-failing", about="settle"): holds(1)},
    "SebastianDutyLate": {check("sweep-late", about="sweep"): holds(1)},
}

SILENT: Mapping[str, Mapping[str, str]] = {
    "one webhook service of two reads the database": {
        'sebastian_database_up{instance="b"}': holds(0)
    },
    "one worker of several is cut off": {check("worker-platform-down"): holds(1)},
    "nobody is online after hours, and nobody waits": {
        check("nobody-online"): holds(1),
        check("nobody-free"): holds(1),
        'sebastian_chats_waiting{instance="a"}': holds(0),
    },
    "a few differences": {'sebastian_differences_repaired_total{instance="a"}': "0x60 2x180"},
    "redis throws keys away, which is a ticket of nobody": {check("redis-evicts"): holds(1)},
    "what people should know, and need not be called for": {
        check("versions-differ"): holds(1),
        check("rooms-too-old"): holds(1),
        check("user-ids-ignored", "notice"): holds(1),
    },
}


def test_the_files_are_what_prometheus_takes() -> None:
    for arguments in (
        ("check", "rules", "deploy/alerts.yml"),
        ("check", "config", "deploy/prometheus.yml"),
    ):
        done = run(*arguments)

        assert done.returncode == 0, done.stdout + done.stderr


def test_there_is_a_case_for_every_alert() -> None:
    assert FIRING.keys() == RULES.keys()


@pytest.mark.parametrize("alert", RULES)
def test_an_alert_fires_when_it_should_and_no_other_with_it(alert: str, tmp_path: Path) -> None:
    judge(tmp_path, [a_test({**CALM, **FIRING[alert]}, [alert])])


def test_on_a_calm_floor_all_are_silent(tmp_path: Path) -> None:
    judge(tmp_path, [a_test(CALM, [])])


@pytest.mark.parametrize("floor", SILENT)
def test_all_are_silent_if(floor: str, tmp_path: Path) -> None:
    judge(tmp_path, [a_test({**CALM, **SILENT[floor]}, [])])


@pytest.mark.parametrize("alert", [name for name, rule in RULES.items() if "for" in rule])
def test_what_has_just_begun_calls_nobody(alert: str, tmp_path: Path) -> None:
    judge(tmp_path, [a_test({**CALM, **FIRING[alert]}, [], at="15s")])


@pytest.mark.parametrize("cause", ["no-worker", "worker-credentials-refused"])
def test_slots_that_are_idle_for_a_known_cause_are_told_by_that_cause(
    cause: str, tmp_path: Path
) -> None:
    idle = {**CALM, **FIRING["SebastianIdleSlots"], check(cause, "problem"): holds(1)}
    (alert,) = (name for name, series in FIRING.items() if check(cause, "problem") in series)

    judge(tmp_path, [a_test(idle, [alert])])


async def test_a_duty_that_no_rule_names_is_told_by_its_name_when_it_is_late(
    tmp_path: Path,
) -> None:
    stage = await busy()
    began = stage.clock.now() - timedelta(hours=1)
    status = WorkerStatus(started_at=began)
    status.expects("sweep", timedelta(minutes=1), leader_only=False)
    status.done("sweep", began)
    await stage.leadership.report("worker-2", status.document())
    async with webhook_service(stage.parts()) as service:
        shown = (await service.http.get("/metrics")).text

    (late,) = re.findall(r"^(sebastian_check\{.*sweep.*\}) 1.0$", shown, re.MULTILINE)
    assert 'about="sweep",check="sweep-late"' in late
    judge(tmp_path, [a_test({**CALM, late: holds(1)}, ["SebastianDutyLate"])])


async def test_every_alert_rests_on_what_the_webhook_service_shows_alone() -> None:
    stage = await busy()
    async with webhook_service(stage.parts()) as service:
        await service.post("/webhook-incoming-message", {"room_id": "1"})
        shown = (await service.http.get("/metrics")).text

    families = set(re.findall(r"^# TYPE (\S+)", shown, re.MULTILINE))
    for alert, rule in RULES.items():
        for name in re.findall(r"sebastian_\w+", rule["expr"]):
            assert {name, name.removesuffix("_total"), name.removesuffix("_bucket")} & families, (
                alert,
                name,
            )
