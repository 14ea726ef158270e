"""On which addresses the service listens."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from sebastian_apps.http.listening import CannotListen, bind, url_of


def named(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
    """From now on every name has these addresses."""

    def resolve(_host: str, port: int, **_: Any) -> list[Any]:
        families = [socket.AF_INET6 if ":" in host else socket.AF_INET for host in hosts]
        rest = {socket.AF_INET: (), socket.AF_INET6: (0, 0)}
        return [
            (family, socket.SOCK_STREAM, 6, "", (host, port, *rest[family]))
            for family, host in zip(families, hosts, strict=True)
        ]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


def urls_of(host: str) -> list[str]:
    listeners = bind(host, 0)
    urls = [url_of(listener) for listener in listeners]
    for listener in listeners:
        listener.close()
    return urls


def test_a_name_of_several_addresses_is_listened_on_at_all_of_them_with_one_port(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    named(monkeypatch, "127.0.0.1", "127.0.0.2", "127.0.0.1")

    first, second = urls_of("localhost")

    assert first.startswith("http://127.0.0.1:")
    assert second == first.replace("127.0.0.1", "127.0.0.2")


def test_an_address_that_this_machine_lacks_is_left_out_beside_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    named(monkeypatch, "2001:db8::1", "127.0.0.1")

    (only,) = urls_of("localhost")

    assert only.startswith("http://127.0.0.1:")


def test_if_this_machine_has_none_of_them_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    named(monkeypatch, "192.0.2.1", "2001:db8::1")

    with pytest.raises(CannotListen, match="cannot listen on elsewhere:0"):
        bind("elsewhere", 0)


def test_an_address_that_is_taken_is_told_although_others_are_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.2", 0)) as taken:
        port = taken.getsockname()[1]
        named(monkeypatch, "127.0.0.1", "127.0.0.2")

        with pytest.raises(CannotListen, match="in use"):
            bind("localhost", port)
