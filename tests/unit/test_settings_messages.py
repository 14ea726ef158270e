"""What a person is told about a broken configuration, word for word."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from attrs import field, frozen

from sebastian_apps.settings import ConfigPlace, ConfigProblem, Role, SettingsError, load_settings

TOKEN = "expected a token of letters, digits, '-', '_', '.' and '~', or a list of them"
HIDDEN = "found something else (not shown: it is a secret)"
UNSHOWN = "(not shown: it may hold a secret)"
ENCODE = (
    "; in a user or a password write %25 for %, %40 for @, %3A for :, %2F for /, %3F for ?, "
    "%23 for #, %5B for [, %5D for ] and %20 for a space"
)
QUOTE = r"put a value with spaces in single quotes, and \ before each ' and \ in a value"
DATABASE = (
    "config.yml:2:22 db.connection_string: expected a postgresql:// URL or libpq's key=value "
    "words, found"
)
REDIS = "config.yml:2:8 redis.url: expected a redis:// URL or host:port, found"
SECTIONS = (
    "listen, db, redis, webhook, admin, qiscus, presence, assign, adapters, worker, reconcile, "
    "agents, queue, history, log, metrics"
)
GUESSED = (
    "short or simple enough to be guessed, and {host} can be reached from elsewhere; set it to a "
    "long random text: openssl rand -hex 24"
)
EXPOSED = (
    "0.0.0.0 can be reached from elsewhere, and without webhook.token anybody could forge a "
    "webhook; set webhook.token to a long random text, or webhook.insecure to true where something "
    "else keeps strangers out"
)


@frozen
class Broken:
    """A configuration that is wrong, and the message for it."""

    name: str
    text: str
    message: str
    environ: Mapping[str, str] = field(factory=dict)
    role: Role | None = None


BROKEN = [
    Broken(
        "a misspelt key",
        "presence:\n  intervall: 5s\n",
        "config.yml:2:3 presence.intervall: unknown key; did you mean presence.interval?",
    ),
    Broken(
        "a misspelt section, told once",
        "prescence:\n  interval: 5s\n  max_age: 10s\n",
        "config.yml:1:1 prescence: unknown key; did you mean presence?",
    ),
    Broken(
        "a key outside its section",
        "secret_key: hunter2\n",
        "config.yml:1:1 secret_key: unknown key; did you mean qiscus.secret_key?",
    ),
    Broken(
        "a key in another section",
        "listen:\n  base_url: https://example.com\n",
        "config.yml:2:3 listen.base_url: unknown key; did you mean webhook.base_url?",
    ),
    Broken(
        "another case of letters",
        "listen:\n  Port: 3000\n",
        "config.yml:2:3 listen.Port: unknown key; did you mean listen.port?",
    ),
    Broken(
        "a path as a key",
        "listen.port: 3000\n",
        "config.yml:1:1 listen.port: write port on a line of its own below listen:",
    ),
    Broken(
        "a key like no other",
        "history:\n  zzz: 1\n",
        "config.yml:2:3 history.zzz: unknown key; history has keep",
    ),
    Broken(
        "a section like no other",
        "zzz: 1\n",
        f"config.yml:1:1 zzz: unknown key; there are {SECTIONS}",
    ),
    Broken(
        "a key given twice",
        "log:\n  level: info\n  level: debug\n",
        "config.yml:3:3 log.level: given twice; the first one is in line 2",
    ),
    Broken(
        "a section given twice",
        "log:\n  level: info\nlog:\n  format: json\n",
        "config.yml:3:1 log: given twice; the first one is in line 1",
    ),
    Broken(
        "text for a number",
        "listen:\n  port: http\n",
        "config.yml:2:9 listen.port: expected a whole number from 1 to 65535, found 'http'",
    ),
    Broken(
        "a number out of range",
        "listen:\n  port: 70000\n",
        "config.yml:2:9 listen.port: expected a whole number from 1 to 65535, found 70000",
    ),
    Broken(
        "a fraction for a whole number",
        "qiscus:\n  burst: 2.5\n",
        "config.yml:2:10 qiscus.burst: expected a whole number from 1 to 10000, found 2.5",
    ),
    Broken(
        "a duration of an unknown unit",
        "presence:\n  interval: 10 sec\n",
        "config.yml:2:13 presence.interval: expected a duration from 100ms to 1h, like 500ms, 10s, "
        "5m, 24h or 90d, found '10 sec'",
    ),
    Broken(
        "a duration that is too long",
        "history:\n  keep: 999999999999d\n",
        "config.yml:2:9 history.keep: expected a duration from 1h to 3650d, like 500ms, 10s, 5m, "
        "24h or 90d, found '999999999999d'",
    ),
    Broken(
        "a rate that is none",
        "qiscus:\n  rate_limit: 20/min\n",
        "config.yml:2:15 qiscus.rate_limit: expected a number per second from 0.1 to 10000, "
        "found '20/min'",
    ),
    Broken(
        "neither true nor false",
        "assign:\n  verify: maybe\n",
        "config.yml:2:11 assign.verify: expected true or false, found 'maybe'",
    ),
    Broken(
        "a word that is not one of the words",
        "queue:\n  doorbell: rabbitmq\n",
        "config.yml:2:13 queue.doorbell: expected dramatiq or postgres, found 'rabbitmq'",
    ),
    Broken(
        "a broker that is no longer spoken to",
        "queue:\n  broker_url: amqp://me:hunter2@rabbit:5672\n",
        "config.yml:2:15 queue.broker_url: expected a redis:// URL, found an amqp:// URL; "
        "RabbitMQ is not supported any more: name a Redis, or take the key out and redis.url "
        "carries the doorbell",
    ),
    Broken(
        "a list for one value",
        "listen:\n  host: [127.0.0.1, '::1']\n",
        "config.yml:2:9 listen.host: expected a host name or an IP address, found a list",
    ),
    Broken(
        "keys for one value",
        "db:\n  connection_string:\n    host: localhost\n",
        "config.yml:3:5 db.connection_string: expected a postgresql:// URL or libpq's key=value "
        "words, found keys and values",
    ),
    Broken(
        "the URL of another server",
        "redis:\n  url: postgres://user:hunter2@localhost/db\n",
        "config.yml:2:8 redis.url: expected a redis:// URL or host:port, found a postgres:// URL",
    ),
    Broken(
        "a port that is none",
        "redis:\n  url: redis://localhost:hunter2\n",
        "config.yml:2:8 redis.url: expected a redis:// URL or host:port, found a redis:// URL that "
        f"cannot be read {UNSHOWN}",
    ),
    Broken(
        "a proxy that speaks SOCKS",
        "qiscus:\n  proxy: socks5://me:hunter@proxy:1080\n",
        "config.yml:2:10 qiscus.proxy: expected the http:// or https:// URL of a proxy without "
        "SOCKS, found a socks5:// URL",
    ),
    Broken(
        "a password for a proxy with a / in it",
        "qiscus:\n  proxy: http://me:pw/x@hunter@proxy:3128\n",
        "config.yml:2:10 qiscus.proxy: expected the http:// or https:// URL of a proxy without "
        f"SOCKS, found a http:// URL that cannot be read {UNSHOWN}{ENCODE}",
    ),
    Broken(
        "a password for the database with a % in it",
        "db:\n  connection_string: postgresql://me:hunter%RET@db/x\n",
        f"{DATABASE} a postgresql:// URL in which a % begins no percent-encoding {UNSHOWN}{ENCODE}",
    ),
    Broken(
        "a percent-encoding that is no text",
        "db:\n  connection_string: postgresql://me:hunter%AA@db/x\n",
        f"{DATABASE} a postgresql:// URL whose percent-encoding is not UTF-8 {UNSHOWN}{ENCODE}",
    ),
    Broken(
        "a password for the database with an @ in it",
        "db:\n  connection_string: postgresql://me:pw@hunter@db/x\n",
        f"{DATABASE} a postgresql:// URL with an @ where none belongs {UNSHOWN}{ENCODE}",
    ),
    Broken(
        "a password for the database that begins with digits and has a / in it",
        "db:\n  connection_string: postgresql://me:99/hunter@db/x\n",
        f"{DATABASE} a postgresql:// URL with an @ where none belongs {UNSHOWN}{ENCODE}",
    ),
    Broken(
        "a parameter of another library",
        "db:\n  connection_string: postgresql://me@db/x?schema=hunter\n",
        f"{DATABASE} a postgresql:// URL with a parameter that libpq does not know: schema "
        f"{UNSHOWN}{ENCODE}",
    ),
    Broken(
        "a value that libpq does not take",
        "db:\n  connection_string: postgresql://db/x?sslmode=hunter\n",
        f"{DATABASE} a postgresql:// URL whose sslmode libpq does not take {UNSHOWN}",
    ),
    Broken(
        "a port of the database that is none",
        "db:\n  connection_string: postgresql://db:hunter/x\n",
        f"{DATABASE} a postgresql:// URL whose port libpq does not take {UNSHOWN}",
    ),
    Broken(
        "more hosts than ports",
        "db:\n  connection_string: host=a,b,c port=1,2\n",
        f"{DATABASE} key=value words whose hosts and ports differ in number {UNSHOWN}; {QUOTE}",
    ),
    Broken(
        "a password in words without quotes",
        "db:\n  connection_string: host=db password=pw hunter\n",
        f"{DATABASE} key=value words in which a word has no = {UNSHOWN}; {QUOTE}",
    ),
    Broken(
        "a bracket that is not closed",
        "db:\n  connection_string: postgresql://me:hunter@[::1/x\n",
        f"{DATABASE} a postgresql:// URL in which [ or ] is no part of an IPv6 address "
        f"{UNSHOWN}{ENCODE}",
    ),
    Broken(
        "a password for Redis that begins with digits and has a # in it",
        "redis:\n  url: redis://:57#hunter@cache:6379/0\n",
        f"{REDIS} a redis:// URL with an @ where none belongs {UNSHOWN}{ENCODE}",
    ),
    Broken(
        "a port of Redis without a host",
        "redis:\n  url: redis://:57\n",
        f"{REDIS} a redis:// URL with a port or a password and no host {UNSHOWN}",
    ),
    Broken(
        "a parameter that redis-py does not take",
        "redis:\n  url: redis://cache?hunter=2\n",
        f"{REDIS} a redis:// URL with a parameter that redis-py does not take {UNSHOWN}",
    ),
    Broken(
        "a password for Redis with an & in it, as a parameter",
        "redis:\n  url: redis://cache?password=pw&hunter\n",
        f"{REDIS} a redis:// URL with a parameter that is not name=value {UNSHOWN}",
    ),
    Broken(
        "a database of Redis that is no number",
        "redis:\n  url: redis://cache/hunter\n",
        f"{REDIS} a redis:// URL whose path is not the number of a database {UNSHOWN}",
    ),
    Broken(
        "a host that cannot be a name",
        "redis:\n  url: redis://hunter..2:6379\n",
        f"{REDIS} a redis:// URL with a host that cannot be a name {UNSHOWN}",
    ),
    Broken(
        "several hosts for Redis",
        "redis:\n  url: redis://a,b:6379\n",
        f"{REDIS} a redis:// URL with several hosts, of which Redis takes one {UNSHOWN}",
    ),
    Broken(
        "a socket of Redis with a host",
        "redis:\n  url: unix://hunter/redis.sock\n",
        f"{REDIS} a unix:// URL without a path like unix:///run/redis.sock {UNSHOWN}",
    ),
    Broken(
        "a public URL with a password",
        "webhook:\n  base_url: https://user:hunter2@example.com\n",
        "config.yml:2:13 webhook.base_url: expected an http or https URL without user, query or "
        "fragment, found more than that (not shown: it may hold a secret)",
    ),
    Broken(
        "a token that does not fit into a path",
        "webhook:\n  token: [fine, hunter/2]\n",
        f"config.yml:2:17 webhook.token: {TOKEN}, {HIDDEN}",
    ),
    Broken(
        "a secret with a space",
        "admin:\n  token: hunter two\n",
        f"config.yml:2:10 admin.token: expected a token without spaces, {HIDDEN}",
    ),
    Broken(
        "a capacity that is no number",
        "agents:\n  capacity:\n    12: many\n",
        "config.yml:3:9 agents.capacity.12: expected a whole number from 0 to 1000, found 'many'",
    ),
    Broken(
        "a capacity for a name",
        "agents:\n  capacity:\n    anna: 3\n",
        "config.yml:3:5 agents.capacity: expected an agent's id (a whole number), found 'anna'",
    ),
    Broken(
        "a capacity for nobody",
        "agents:\n  capacity: 5\n",
        "config.yml:2:13 agents.capacity: expected agent ids with a capacity each (a whole number "
        "from 0 to 1000) like 12=3,15=5, found 5",
    ),
    Broken(
        "a very long value",
        f"listen:\n  port: {'x' * 500}\n",
        f"config.yml:2:9 listen.port: expected a whole number from 1 to 65535, found '{'x' * 39}…'",
    ),
    Broken(
        "a reading that is too old before the next one",
        "presence:\n  max_age: 5s\n",
        "config.yml:2:12 presence.max_age: expected at least presence.interval (10s, its default), "
        "found 5s",
    ),
    Broken(
        "readings that are too far apart",
        "presence:\n  interval: 60s\n",
        "config.yml:2:13 presence.interval: expected at most presence.max_age (30s, its default), "
        "found 1m",
    ),
    Broken(
        "a reservation as short as the call",
        "assign:\n  timeout: 8s\n  reservation: 8s\n",
        "config.yml:3:16 assign.reservation: expected more than 1.5 times assign.timeout (8s), "
        "found 8s",
    ),
    Broken(
        "an environment that contradicts the file",
        "presence:\n  max_age: 20s\n",
        "config.yml:2:12 presence.max_age: expected at least presence.interval (25s), found 20s",
        {"QT_PRESENCE_INTERVAL": "25s"},
    ),
    Broken(
        "a webhook service open to everybody",
        "listen:\n  host: 0.0.0.0\ndb: {connection_string: postgresql://h/d}\n"
        "redis: {url: localhost}\n",
        f"config.yml:2:9 listen.host: {EXPOSED}",
        role="webhook",
    ),
    Broken(
        "a webhook token that can be guessed, beyond loopback",
        "listen: {host: 0.0.0.0}\nwebhook:\n  token: hunter2\n"
        "db: {connection_string: postgresql://h/d}\nredis: {url: localhost}\n",
        f"config.yml:3:10 webhook.token: {GUESSED.format(host='0.0.0.0')}",
        role="webhook",
    ),
    Broken(
        "a person's token that can be guessed, beyond loopback",
        "listen: {host: 10.1.2.3}\nwebhook: {insecure: true}\n"
        "admin:\n  tokens:\n    sari: hunter2\n"
        "db: {connection_string: postgresql://h/d}\nredis: {url: localhost}\n",
        f"config.yml:5:5 admin.tokens.sari: {GUESSED.format(host='10.1.2.3')}",
        role="webhook",
    ),
    Broken(
        "metrics beyond loopback under a token that can be guessed",
        "admin: {token: hunter2}\nmetrics:\n  host: 0.0.0.0\n  port: 9464\n"
        "db: {connection_string: postgresql://h/d}\nredis: {url: localhost}\n"
        "qiscus: {app_id: abc, secret_key: def}\n",
        f"config.yml:1:16 admin.token: {GUESSED.format(host='0.0.0.0')}",
        role="worker",
    ),
    Broken(
        "one token for two people",
        "admin:\n  token: hunter2\n  tokens: {sari: hunter2}\n",
        "config.yml:3:11 admin.tokens.sari: the same token as admin.token; give each a token of "
        "its own",
    ),
    Broken(
        "a name that would look strange in the history",
        "admin:\n  tokens:\n    hunter two: abc\n",
        "config.yml:3:5 admin.tokens: expected a name of at most 32 letters, digits, '-', '_' and "
        f"'.', {HIDDEN}",
    ),
    Broken(
        "a person's token with a comma",
        "admin:\n  tokens:\n    sari: hunter,2\n",
        f"config.yml:3:11 admin.tokens: expected a token without spaces and commas, {HIDDEN}",
    ),
    Broken(
        "a variable with a token for nobody",
        "",
        "QT_ADMIN_TOKENS admin.tokens: expected names with a token each (without spaces and "
        f"commas) like sari=TOKEN,budi=TOKEN, {HIDDEN}",
        {"QT_ADMIN_TOKENS": "sari=hunter2,hunter3"},
    ),
    Broken(
        "a variable with two tokens for one name",
        "",
        "QT_ADMIN_TOKENS admin.tokens: given twice; a name has one token",
        {"QT_ADMIN_TOKENS": "sari=hunter2,sari=hunter3"},
    ),
    Broken(
        "a required value that is missing",
        "db: {connection_string: postgresql://h/d}\nredis: {url: localhost}\n"
        "qiscus:\n  app_id: abc\n",
        "config.yml:3:1 qiscus.secret_key: missing; expected a secret key without spaces "
        "(or set QT_QISCUS_SECRET_KEY or QT_QISCUS_SECRET_KEY_FILE)",
        role="worker",
    ),
    Broken(
        "a required value without its section",
        "# nothing yet\n",
        "config.yml db.connection_string: missing; expected a postgresql:// URL or libpq's "
        "key=value words (or set QT_DB_CONNECTION_STRING or QT_DB_CONNECTION_STRING_FILE)",
        role="migrate",
    ),
    Broken(
        "a section with a text",
        "log: debug\n",
        "config.yml:1:6 log: expected keys and values below it, found text; is the space after a "
        "colon missing?",
    ),
    Broken(
        "a section with a list",
        "log:\n  - level: debug\n",
        "config.yml:2:3 log: expected keys and values below it, found a list",
    ),
    Broken(
        "a list instead of sections",
        "- log\n",
        "config.yml:1:1: expected keys and values like `listen:`, found something else",
    ),
    Broken(
        "a tab",
        "listen:\n\tport: 3000\n",
        "config.yml:2:1: is not YAML: a tab cannot indent; use spaces",
    ),
    Broken(
        "a quote that is never closed",
        "qiscus:\n  password: 'hunter2\n  app_id: abc\n",
        "config.yml:2:13: is not YAML: a quote is opened here and never closed",
    ),
    Broken(
        "uneven indentation",
        "listen:\n  port: 3000\n host: localhost\n",
        "config.yml:3:2: is not YAML: the indentation does not fit the lines above",
    ),
    Broken(
        "deeper indentation",
        "listen:\n  port: 3000\n    host: localhost\n",
        "config.yml:3:9: is not YAML: a colon cannot stand here; check the indentation and the "
        "space after each colon, or quote",
    ),
    Broken(
        "a line without a colon",
        "listen:\n  port: 3000\n  host\n",
        "config.yml:3:3: is not YAML: expected `key: value`; is the space after a colon missing?",
    ),
    Broken(
        "a password that begins with @",
        "qiscus:\n  password: @hunter2\n",
        "config.yml:2:13: is not YAML: a value cannot begin with this character; put it in quotes",
    ),
    Broken(
        "a password that begins with *",
        "qiscus:\n  password: *hunter2\n",
        "config.yml:2:13: is not YAML: a value cannot begin with *; put it in quotes",
    ),
    Broken(
        "a password that begins with &",
        "qiscus:\n  password: &hunter2\n",
        "config.yml:2:13 qiscus.password: expected a plain value, found an anchor (text that "
        "begins with & needs quotes)",
    ),
    Broken(
        "a password that begins with !",
        "qiscus:\n  password: !hunter2\n",
        "config.yml:2:13 qiscus.password: expected a plain value, found a YAML tag (text that "
        "begins with ! needs quotes)",
    ),
    Broken(
        "a backslash in double quotes",
        'qiscus:\n  password: "hunter\\2"\n',
        "config.yml:2:21: is not YAML: a backslash in double quotes; use single quotes",
    ),
    Broken(
        "no space after a colon",
        "qiscus:\n  password:hunter2\n",
        "config.yml:2:3 qiscus: expected keys and values below it, found text; is the space after "
        "a colon missing?",
    ),
    Broken(
        "no space after a colon in braces",
        "qiscus: {password:hunter2}\n",
        "config.yml:1:10 qiscus: a key that is not a plain word (not shown); is the space after a "
        "colon missing?",
    ),
    Broken(
        "a key that is a list",
        "? [a, b]\n: 1\n",
        "config.yml:1:3: expected a plain value, found a key that is not a word",
    ),
    Broken(
        "an anchor in itself",
        "agents: &a\n  capacity: *a\n",
        "config.yml:1:9 agents.capacity: expected a plain value, found an anchor that contains "
        "itself",
    ),
    Broken(
        "two documents",
        "log:\n  level: info\n---\nlog:\n  level: debug\n",
        "config.yml:3:1: is not YAML: a second document begins here; one is enough",
    ),
    Broken(
        "a control character",
        "log:\n  level: in\x00fo\n",
        "config.yml:2:12: a control character; it cannot stand in YAML",
    ),
    Broken(
        "lists in lists in lists",
        "[" * 5_000,
        "config.yml: is not YAML: lists or braces stand in each other far too deep",
    ),
    Broken(
        "lists in lists that are closed again",
        f"agents: {'[' * 3_000}{']' * 3_000}\n",
        "config.yml: is not YAML: lists or braces stand in each other far too deep",
    ),
    Broken(
        "a secret's file that is not there, and no word that its key is missing",
        "db: {connection_string: postgresql://h/d}\nredis: {url: localhost}\n"
        "qiscus: {app_id: abc}\n",
        "QT_QISCUS_SECRET_KEY_FILE qiscus.secret_key: the file that it names: no such file or "
        "directory",
        {"QT_QISCUS_SECRET_KEY_FILE": "hunter2"},
        role="worker",
    ),
    Broken(
        "a bad variable",
        "",
        "QT_LISTEN_PORT listen.port: expected a whole number from 1 to 65535, found 'http'",
        {"QT_LISTEN_PORT": "http"},
    ),
    Broken(
        "a misspelt variable",
        "",
        "QT_QISCUS_SECRET: unknown variable; did you mean QT_QISCUS_SECRET_KEY?",
        {"QT_QISCUS_SECRET": "hunter2"},
    ),
    Broken(
        "a variable whose section is misspelt",
        "",
        "QT_LISTN_PORT: unknown variable; did you mean QT_LISTEN_PORT?",
        {"QT_LISTN_PORT": "8080"},
    ),
    Broken(
        "a variable whose section has another name",
        "",
        "QT_DATABASE_CONNECTION_STRING: unknown variable; did you mean QT_DB_CONNECTION_STRING?",
        {"QT_DATABASE_CONNECTION_STRING": "postgresql://me:hunter2@h/d"},
    ),
    Broken(
        "a variable and its file at once",
        "",
        "QT_ADMIN_TOKEN admin.token: set together with QT_ADMIN_TOKEN_FILE; keep one of them",
        {"QT_ADMIN_TOKEN": "hunter2", "QT_ADMIN_TOKEN_FILE": "/hunter2"},
    ),
    Broken(
        "a secret's file that is not there",
        "",
        "QT_QISCUS_PASSWORD_FILE qiscus.password: the file that it names: no such file or "
        "directory",
        {"QT_QISCUS_PASSWORD_FILE": "hunter2"},
    ),
    Broken(
        "a secret's file that is empty",
        "",
        "QT_QISCUS_PASSWORD_FILE qiscus.password: the file that it names is empty or has more than "
        "64 KiB",
        {"QT_QISCUS_PASSWORD_FILE": "/dev/null"},
    ),
]


def problems_of(
    text: str | bytes, environ: Mapping[str, str] | None = None, role: Role | None = None
) -> tuple[ConfigProblem, ...]:
    content = text if isinstance(text, bytes) else text.encode()
    Path("config.yml").write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        load_settings(Path("config.yml"), environ or {}, role=role)
    return caught.value.problems


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("depth", range(100, 600, 20))
def test_lists_in_lists_end_in_a_sentence_however_deep_this_python_reads(depth: int) -> None:
    [problem] = problems_of(f"agents: {'[' * depth}{']' * depth}\n", {}, None)

    assert str(problem).endswith(("far too deep", "found a list"))


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)
def test_the_message_says_where_what_was_expected_and_what_was_found(broken: Broken) -> None:
    problems = problems_of(broken.text, broken.environ, broken.role)

    assert [str(problem) for problem in problems] == [broken.message]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)
def test_no_message_shows_a_secret(broken: Broken) -> None:
    problems = problems_of(broken.text, broken.environ, broken.role)

    assert "hunter" not in repr(problems)


def test_everything_that_is_wrong_is_told_at_once_in_reading_order() -> None:
    text = "listen:\n  port: x\n  hots: y\npresence:\n  interval: 1m\nlog:\n  level: loud\n"
    Path("config.yml").write_text(text)

    with pytest.raises(SettingsError) as caught:
        load_settings(Path("config.yml"), {"QT_ASSIGN_VERIFY": "so-so"}, role="migrate")

    assert str(caught.value) == (
        "6 problems in the configuration:\n"
        "  config.yml:2:9 listen.port: expected a whole number from 1 to 65535, found 'x'\n"
        "  config.yml:3:3 listen.hots: unknown key; did you mean listen.host?\n"
        "  config.yml:5:13 presence.interval: expected at most presence.max_age (30s, its "
        "default), found 1m\n"
        "  config.yml:7:10 log.level: expected debug, info, warning or error, found 'loud'\n"
        "  config.yml db.connection_string: missing; expected a postgresql:// URL or libpq's "
        "key=value words (or set QT_DB_CONNECTION_STRING or QT_DB_CONNECTION_STRING_FILE)\n"
        "  QT_ASSIGN_VERIFY assign.verify: expected true or false, found 'so-so'"
    )


def test_a_single_problem_stands_alone() -> None:
    Path("config.yml").write_text("log: {level: loud}\n")

    with pytest.raises(SettingsError) as caught:
        load_settings(Path("config.yml"), {})

    assert str(caught.value) == (
        "config.yml:1:14 log.level: expected debug, info, warning or error, found 'loud'"
    )


def test_a_problem_has_its_parts() -> None:
    (problem,) = problems_of("presence:\n  intervall: 5s\n")

    assert problem.place == ConfigPlace("config.yml", 2, 3)
    assert problem.key == "presence.intervall"
    assert problem.nearest == "presence.interval"


def test_a_file_that_is_not_there_says_what_to_do() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(Path("other.yml"), {}, role="worker")

    assert str(caught.value) == (
        "other.yml: file not found; write one (sebastian config init), or name another with -c"
    )


def test_a_folder_is_no_file() -> None:
    with pytest.raises(SettingsError, match="is a directory; name the file in it"):
        load_settings(Path(), {})


def test_a_file_in_another_encoding_names_the_line() -> None:
    (problem,) = problems_of(b"log:\n  level: inf\xf6\n")

    assert str(problem) == "config.yml:2: is not UTF-8 text"


def test_without_a_file_the_environment_is_named() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(None, {}, role="migrate")

    assert caught.value.problems[0].place == ConfigPlace("environment")


def test_a_value_that_cannot_be_read_is_not_called_missing_or_contradictory() -> None:
    problems = problems_of(
        "presence: {interval: often, max_age: 1s}\nlisten: {host: 0.0.0.0}\n"
        "webhook: {token: a/b}\ndb: {connection_string: nowhere}\nredis: {url: localhost}\n",
        role="webhook",
    )

    assert [problem.key for problem in problems] == [
        "presence.interval",
        "webhook.token",
        "db.connection_string",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("QT_QPA_PLATFORM", "xcb"),
        ("QT_LOGGING_RULES", "*.debug=false"),
        ("QT_LOGGING_CONF", "/etc/qt.conf"),
        ("QT_PLUGIN_PATH", "/usr/lib/qt"),
        ("QT_SCALE_FACTOR", "2"),
        ("QT_ACCESSIBILITY", "1"),
        ("QT_IM_MODULE", "ibus"),
        ("QT_DEBUG_PLUGINS", "1"),
        ("QT_STYLE_OVERRIDE", "fusion"),
        ("QT_WEBHOOK_SERVICE_HOST", "10.0.0.7"),
        ("QT_WEBHOOK_PORT_3000_TCP_ADDR", "10.0.0.7"),
        ("QT_REDIS_PORT", "tcp://10.0.0.7:6379"),
    ],
)
def test_variables_of_others_are_left_alone(name: str, value: str) -> None:
    load_settings(None, {name: value})
