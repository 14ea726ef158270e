"""The agents of `sebastian dev`: people with names, so that the screen looks like a real floor."""

from __future__ import annotations

from sebastian_apps.fake_qiscus.server import FakeQiscus

NAMES = (
    *("Anisa", "Bayu", "Citra", "Dewi", "Eko", "Farah", "Gilang", "Hana", "Indra", "Jihan"),
    *("Kirana", "Laras", "Made", "Nadia", "Okta", "Putri", "Rizky", "Sari", "Tono", "Wulan"),
)


def hire(fake: FakeQiscus, number: int) -> None:
    """So many agents get a login; where the names run out they are numbered."""
    for each in range(number):
        again, which = divmod(each, len(NAMES))
        fake.platform.add_agent(f"{NAMES[which]} {again + 1}" if again else NAMES[which])
