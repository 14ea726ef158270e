"""A policy of the user's own, as the configuration names it."""

from __future__ import annotations

from sebastian_apps.cli.diagnosis.findings import Finding, fine, problem
from sebastian_apps.own_policy import own_policy
from sebastian_apps.settings import Settings, SettingsError


def look_at_policy(settings: Settings) -> list[Finding]:
    """Whether this machine's Python can make it; nothing where the shipped one is used."""
    try:
        policy = own_policy(settings)
    except SettingsError as error:
        remedy = "Correct assign.policy, or install its package where the workers run."
        return [problem("policy-unusable", f"{error}.", remedy)]
    if policy is None:
        return []
    return [fine("policy", f"{settings.assign.policy} can be made.")]
