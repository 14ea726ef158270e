"""`python -m sebastian_apps.fake_qiscus`."""

from sebastian_apps.fake_qiscus.main import command

command()
