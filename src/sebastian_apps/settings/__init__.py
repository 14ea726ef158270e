"""The configuration: a YAML file and environment variables into checked settings.

`load_settings` reads them, or raises SettingsError with everything that is wrong at once.
"""

from __future__ import annotations

from sebastian_apps.settings.checks import (
    NEW_TOKEN,
    ROLES,
    Need,
    Role,
    exposure,
    file_for_all_eyes,
    require,
    weakness,
)
from sebastian_apps.settings.connection_url import ConnectionUrl
from sebastian_apps.settings.keys import Key
from sebastian_apps.settings.load import load_settings
from sebastian_apps.settings.model import Settings, all_keys, is_loopback
from sebastian_apps.settings.problems import UNSET, ConfigPlace, ConfigProblem, SettingsError
from sebastian_apps.settings.reference import describe_keys, describe_sections, json_schema
from sebastian_apps.settings.secret import Secret

__all__ = [
    "NEW_TOKEN",
    "ROLES",
    "UNSET",
    "ConfigPlace",
    "ConfigProblem",
    "ConnectionUrl",
    "Key",
    "Need",
    "Role",
    "Secret",
    "Settings",
    "SettingsError",
    "all_keys",
    "describe_keys",
    "describe_sections",
    "exposure",
    "file_for_all_eyes",
    "is_loopback",
    "json_schema",
    "load_settings",
    "require",
    "weakness",
]
