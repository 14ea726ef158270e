"""A policy of the user's own, as the configuration names it."""

from __future__ import annotations

from sebastian_apps.cli.diagnosis.findings import Finding, fine, problem
from sebastian_apps.policy_trial import try_policy
from sebastian_apps.settings import Settings, SettingsError

UNUSABLE = "policy-unusable"


def look_at_policy(settings: Settings) -> list[Finding]:
    """Whether this machine's Python can make it; nothing where the shipped one is used."""
    if settings.assign.policy is None:
        return []
    try:
        try_policy(settings)
    except SettingsError as error:
        remedy = "Correct it, mend the policy, or install its package where the workers run."
        return [problem(UNUSABLE, f"{error}.", remedy)]
    return [fine("policy", f"{settings.assign.policy} can be made.")]
