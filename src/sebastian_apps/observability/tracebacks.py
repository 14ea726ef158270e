"""Tracebacks without secrets: what a driver says of a connection repeats parts of its URL."""

from __future__ import annotations

import sys
import threading
import traceback
from types import TracebackType

from sebastian_apps.observability.logging import Redactor


def hide_in_tracebacks(redactor: Redactor) -> None:
    """Print what nobody catches, in any thread of this process, with every known secret masked."""

    def print_masked(
        kind: type[BaseException], error: BaseException | None, where: TracebackType | None
    ) -> None:
        text = "".join(traceback.format_exception(kind, error, where))
        sys.stderr.write(redactor.text(text))

    def print_masked_of_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_type is not SystemExit:
            print_masked(args.exc_type, args.exc_value, args.exc_traceback)

    sys.excepthook = print_masked
    threading.excepthook = print_masked_of_thread
