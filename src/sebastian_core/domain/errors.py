"""What surprises. What may be expected is an outcome, not an error."""

from __future__ import annotations

from enum import StrEnum


class SebastianError(Exception):
    """Something happened that the caller could not expect."""

    slug = "sebastian-error"


class InvalidInput(SebastianError):
    """A field holds something that cannot be used; the sentence says what would be right."""

    slug = "invalid-input"

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field} {problem}")
        self.field = field
        self.problem = problem


class StoreUnavailable(SebastianError):
    """A store cannot be reached or did not answer in time; try again later."""

    slug = "store-unavailable"

    def __init__(self, store: str, cause: str) -> None:
        super().__init__(f"{store} {self._verb}: {cause}")
        self.store = store

    _verb = "is unavailable"


class StoreRefused(StoreUnavailable):
    """A store answers, and says no: to our user, to what it may do, or to every write.

    Somebody has to change something there; for who asked it is as good as unavailable.
    """

    slug = "store-refused"
    _verb = "refuses us"


class SchemaMismatch(SebastianError):
    """The database's tables are not the ones that this process works with."""

    slug = "schema-mismatch"


class ForeignAccount(SchemaMismatch):
    """The database's tables belong to another account of Qiscus; nothing was written into them."""

    slug = "foreign-account"

    def __init__(self, owner: str, ours: str) -> None:
        super().__init__(
            f"this database belongs to the account {owner}, not to {ours}: name this account's own "
            "database in db.connection_string, or correct qiscus.app_id; if the account was "
            "renamed, run `sebastian account rename`"
        )
        self.owner = owner


class UnknownWord(SchemaMismatch):
    """The record of a room holds a word that this version does not know; nothing was changed."""

    slug = "unknown-word"

    def __init__(self, room_id: str, word: str = "") -> None:
        named = f" ({word})" if word else ""
        super().__init__(
            f"the record of room {room_id} holds a word that this version of Sebastian does not "
            f"know{named}: a newer version wrote it; use that one, or restore the backup from "
            "before it"
        )


class PlanRefused(SebastianError):
    """A policy's plan breaks a rule that no policy may break; nothing of it was written."""

    slug = "plan-refused"


class Fault(StrEnum):
    """Why the platform could not be asked, or did not answer usably.

    `crowded` is our own doing: no connection came free in time, or the machine has none to give;
    nothing was sent.
    """

    CONNECT = "connect"
    CROWDED = "crowded"
    THROTTLED = "throttled"
    TIMEOUT = "timeout"
    BROKEN = "broken"
    SERVER_ERROR = "server_error"
    UNREADABLE = "unreadable"


class PlatformUnavailable(SebastianError):
    """Qiscus could not be asked or did not answer usably; the same call may work later.

    `surely_not_applied` tells a call that never took effect (not sent, or 429) from one that may
    have. `retry_after_seconds` is what a 429 asked for, if it did.
    """

    slug = "platform-unavailable"

    def __init__(
        self,
        fault: Fault,
        detail: str = "",
        *,
        status: int | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        whose = "was not asked" if fault is Fault.CROWDED else f"is unavailable ({fault})"
        super().__init__(f"Qiscus {whose}: {detail or 'no answer'}")
        self.fault = fault
        self.status = status
        self.retry_after_seconds = retry_after_seconds

    @property
    def surely_not_applied(self) -> bool:
        """Whether the call certainly changed nothing at the platform."""
        return self.fault in (Fault.CONNECT, Fault.CROWDED, Fault.THROTTLED)


class PlatformRefused(SebastianError):
    """Qiscus understood the call and said no (a 4xx other than 429); asking again changes nothing.

    401 and 403 may concern the whole account or only one room: a neutral read tells.
    """

    slug = "platform-refused"

    def __init__(self, status: int, detail: str = "") -> None:
        super().__init__(f"Qiscus refused with {status}: {detail or 'no text'}")
        self.status = status
        self.detail = detail

    @property
    def about_credentials(self) -> bool:
        """Whether the refusal could be one of our credentials rather than of the room."""
        return self.status in (401, 403)
