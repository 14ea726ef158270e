"""What an answer says when it is not what was asked for: `application/problem+json`, RFC 9457."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from attrs import frozen
from litestar import Response

PROBLEM_MEDIA_TYPE = "application/problem+json"


@frozen
class ProblemKind:
    """One kind of problem: its name in the URN, its status and its title."""

    slug: str
    status: int
    title: str

    @property
    def urn(self) -> str:
        """What names this kind of problem everywhere."""
        return f"urn:sebastian:problem:{self.slug}"


BAD_REQUEST = ProblemKind("bad-request", 400, "The request is not HTTP that we understand")
INCOMPLETE = ProblemKind("incomplete", 400, "The body ended too early")
NOT_UTF8 = ProblemKind("not-utf-8", 400, "The body is not UTF-8")
NOT_JSON = ProblemKind("not-json", 400, "The body is not JSON")
UNAUTHORIZED = ProblemKind("unauthorized", 401, "The admin token is needed")
FOREIGN_APP = ProblemKind("foreign-app", 403, "The webhook is for another account")
NOT_FOUND = ProblemKind("not-found", 404, "There is nothing here")
METHOD_NOT_ALLOWED = ProblemKind("method-not-allowed", 405, "Not with this method")
TOO_SLOW = ProblemKind("too-slow", 408, "The body came too slowly")
NOT_CONFIGURED = ProblemKind("not-configured", 409, "Something is not configured")
TOO_LARGE = ProblemKind("too-large", 413, "The body is too large")
URL_TOO_LONG = ProblemKind("url-too-long", 414, "The address is too long")
UNSUPPORTED = ProblemKind("unsupported", 415, "The body is in a form that is not read here")
UNUSABLE = ProblemKind("unusable", 422, "The body cannot be used")
TOO_MANY_GUESSES = ProblemKind("too-many-guesses", 429, "Too many wrong tokens were sent")
HEAD_TOO_LARGE = ProblemKind("head-too-large", 431, "The request's head is too large")
FAILED = ProblemKind("failed", 500, "Something went wrong here")
PLATFORM_REFUSED = ProblemKind("platform-refused", 502, "Qiscus refused")
PLATFORM_UNAVAILABLE = ProblemKind("platform-unavailable", 502, "Qiscus cannot be asked")
STORE_UNAVAILABLE = ProblemKind("store-unavailable", 503, "The database is unavailable")
NOT_READY = ProblemKind("not-ready", 503, "Not ready")

OF_A_BODY = (NOT_UTF8, NOT_JSON, INCOMPLETE, TOO_SLOW, TOO_LARGE, UNSUPPORTED, UNUSABLE)
"""What may be wrong with a body that is read."""


class HttpProblem(Exception):
    """An answer other than success: what is wrong, and what would be right.

    `detail` is our own sentence: it never repeats what was sent, nor any secret.
    """

    def __init__(
        self,
        kind: ProblemKind,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})

    def document(self) -> dict[str, Any]:
        """The members of the problem document."""
        kind = self.kind
        named = {"type": kind.urn, "title": kind.title, "status": kind.status}
        return {**named, "detail": self.detail, **self.extra}

    def encoded(self) -> bytes:
        """The problem document as it goes over the wire."""
        return json.dumps(self.document()).encode()


def problem_response(problem: HttpProblem) -> Response[bytes]:
    """The answer that tells a problem."""
    return Response(
        problem.encoded(),
        status_code=problem.kind.status,
        media_type=PROBLEM_MEDIA_TYPE,
        headers=problem.headers,
    )
