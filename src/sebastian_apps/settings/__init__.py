"""The configuration: a YAML file and environment variables into checked settings.

`load_settings` reads them, or raises SettingsError with everything that is wrong at once.
"""

from __future__ import annotations

from sebastian_apps.settings.checks import ROLES, Need, Role, check_webhook_exposure, require
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
)
from sebastian_apps.settings.problems import UNSET, Place, Problem, SettingsError
from sebastian_apps.settings.reference import KeyDoc, describe, describe_sections, json_schema
from sebastian_apps.settings.secret import ConnectionUrl, Secret

__all__ = [
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
    "json_schema",
    "load_settings",
    "require",
]
