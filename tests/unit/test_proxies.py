"""Which proxy stands between us and Qiscus."""

from __future__ import annotations

import pytest

from sebastian_apps.settings import SettingsError, load_settings
from sebastian_apps.settings.proxy import platform_proxy

VARIABLES = [
    name
    for each in ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    for name in (each, each.upper())
]


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def shown(**settings: str) -> str | None:
    """The proxy as it is shown, with these settings of `qiscus`."""
    env = {f"QT_QISCUS_{name.upper()}": text for name, text in settings.items()}
    proxy = platform_proxy(load_settings(None, env))
    return None if proxy is None else str(proxy)


def test_without_any_there_is_none() -> None:
    assert shown() is None


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_the_environment_s_is_used(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "http://me:hunter2@proxy.test:3128")

    assert shown() == f"the proxy http://***@proxy.test:3128 ({variable.upper()})"


def test_the_environment_s_may_lack_its_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "proxy.test:3128")

    assert shown() == "the proxy http://proxy.test:3128 (HTTPS_PROXY)"


def test_the_one_that_is_set_goes_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://other.test:3128")
    monkeypatch.setenv("NO_PROXY", "*")

    assert shown(proxy="http://proxy.test:3128") == (
        "the proxy http://proxy.test:3128 (qiscus.proxy)"
    )


@pytest.mark.parametrize("passed_over", ["omnichannel.qiscus.com", ".qiscus.com", "*"])
def test_no_proxy_is_obeyed(monkeypatch: pytest.MonkeyPatch, passed_over: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", passed_over)

    assert shown() is None


@pytest.mark.parametrize("host", ["localhost:4000", "127.0.0.1:4000", "[::1]:4000"])
def test_loopback_is_never_reached_through_one(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.test:3128")

    assert shown(base_url=f"http://{host}", proxy="http://proxy.test:3128") is None


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("socks5h://me:hunter2@proxy.test:1080", "a socks5h:// URL"),
        ("http://me:pw/x@hunter2@proxy.test", "a http:// URL that cannot be read"),
    ],
)
def test_one_that_cannot_be_used_is_refused_unshown(
    monkeypatch: pytest.MonkeyPatch, url: str, found: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", url)

    with pytest.raises(SettingsError) as refused:
        shown()

    assert str(refused.value).startswith(
        f"HTTPS_PROXY: expected the http:// or https:// URL of a proxy without SOCKS, found {found}"
    )
    assert "hunter2" not in str(refused.value)
