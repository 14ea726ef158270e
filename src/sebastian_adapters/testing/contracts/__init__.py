"""One suite for each port: inherit it, provide its fixtures, and run it with `asyncio_mode=auto`.

What a use case relies on and no suite pins is not part of the port.
"""

from pkgutil import iter_modules

import pytest

pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in iter_modules(__path__)))
