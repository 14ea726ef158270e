"""Which HTTP proxy stands between us and Qiscus: ours by name, or the one of the surroundings."""

from __future__ import annotations

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from attrs import evolve, frozen

from sebastian_apps.settings import (
    ConfigPlace,
    ConnectionUrl,
    Settings,
    SettingsError,
    is_loopback,
)
from sebastian_apps.settings.values import PROXY_URL, Raw


@frozen
class Proxy:
    """A proxy, and where it is set."""

    url: ConnectionUrl
    source: str

    def __str__(self) -> str:
        return f"the proxy {self.url} ({self.source})"


def platform_proxy(settings: Settings) -> Proxy | None:
    """The proxy on the way to Qiscus, if there is one, as the surroundings are now.

    Loopback is never reached through one. Raises SettingsError for one that cannot be used.
    """
    qiscus = settings.qiscus
    address = urlsplit(qiscus.base_url)
    if is_loopback(address.hostname or ""):
        return None
    if qiscus.proxy is not None:
        return Proxy(qiscus.proxy, "qiscus.proxy")
    if proxy_bypass(address.netloc):
        return None
    found = getproxies()
    for name in (address.scheme, "all"):
        if found.get(name):
            return _of_the_surroundings(found[name], f"{name.upper()}_PROXY")
    return None


def _of_the_surroundings(text: str, variable: str) -> Proxy:
    try:
        return Proxy(PROXY_URL.read(Raw(text, ConfigPlace(variable)), ""), variable)
    except SettingsError as error:
        advice = "; set qiscus.proxy, or NO_PROXY for Qiscus"
        problems = [evolve(each, message=each.message + advice) for each in error.problems]
    raise SettingsError(problems)
