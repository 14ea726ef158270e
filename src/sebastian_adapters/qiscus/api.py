"""What is sent to the platform and what comes back, as far as HTTP goes."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
from attrs import field, frozen
from yarl import URL


@frozen
class ApiRequest:
    """One HTTP request. Its URL is sent exactly as it stands here; its headers may hold secrets."""

    method: str
    url: URL
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)


@frozen
class ApiResponse:
    """A complete HTTP answer, whatever its status; its body is as it came, packed or not.

    The names of `headers` are found in small and in capital letters.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether it is a 2xx."""
        return 200 <= self.status < 300


def multipart(fields: Mapping[str, str]) -> tuple[bytes, str]:
    """The fields as a multipart form: its bytes and its content type."""
    form = httpx.Request("POST", "", files={name: (None, text) for name, text in fields.items()})
    return form.read(), form.headers["content-type"]
