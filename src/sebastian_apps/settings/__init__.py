"""The configuration: a YAML file and environment variables into checked settings.

`load_settings` reads them, or raises SettingsError with everything that is wrong at once.
"""

from __future__ import annotations

from sebastian_apps.settings.checks import (
    NEW_TOKEN,
    ROLES,
    Need,
    Role,
    check_webhook_exposure,
    file_for_all_eyes,
    require,
    weakness,
)
from sebastian_apps.settings.load import load_settings
from sebastian_apps.settings.model import (
    Admin,
    Agents,
    Assign,
    Db,
    History,
    Listen,
    Log,
    Presence,
    Qiscus,
    Queue,
    Reconcile,
    Redis,
    Settings,
    Webhook,
    is_loopback,
)
from sebastian_apps.settings.problems import UNSET, Place, Problem, SettingsError
from sebastian_apps.settings.reference import KeyDoc, describe, describe_sections, json_schema
from sebastian_apps.settings.secret import ConnectionUrl, Secret

__all__ = [
    "NEW_TOKEN",
    "ROLES",
    "UNSET",
    "Admin",
    "Agents",
    "Assign",
    "ConnectionUrl",
    "Db",
    "History",
    "KeyDoc",
    "Listen",
    "Log",
    "Need",
    "Place",
    "Presence",
    "Problem",
    "Qiscus",
    "Queue",
    "Reconcile",
    "Redis",
    "Role",
    "Secret",
    "Settings",
    "SettingsError",
    "Webhook",
    "check_webhook_exposure",
    "describe",
    "describe_sections",
    "file_for_all_eyes",
    "is_loopback",
    "json_schema",
    "load_settings",
    "require",
    "weakness",
]
