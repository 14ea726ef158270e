"""Which HTTP proxy stands between us and Qiscus: ours by name, or the one of the surroundings."""

from __future__ import annotations

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from attrs import frozen

from sebastian_apps.settings import Settings
from sebastian_apps.settings.addresses import PROXY
from sebastian_apps.settings.kinds import Unfit
from sebastian_apps.settings.model import is_loopback
from sebastian_apps.settings.problems import Place, Problem, SettingsError
from sebastian_apps.settings.secret import ConnectionUrl


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
        return Proxy(PROXY.parse(text), variable)
    except Unfit as error:
        found = str(error)
    except ValueError:
        found = PROXY.found(text)
    message = f"expected {PROXY.expected}, found {found}; set qiscus.proxy, or NO_PROXY for Qiscus"
    raise SettingsError([Problem(Place(variable), "", message)])
