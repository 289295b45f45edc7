"""`signalflow user` and `signalflow key` against a real database."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import typer
from typer.testing import CliRunner, Result

from signalflow.cli import key as key_command
from signalflow.cli import user as user_command
from signalflow.errors import Invalid
from signalflow.settings import get_settings
from tests.conftest import run_sync
from tests.integration.accounts_api import authorized, client_of, running, settings_of

PASSWORD = "a long enough password"


@pytest.fixture(autouse=True)
def _environment(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("SIGNALFLOW_DATABASE_URL", database_url)
    monkeypatch.setenv("SIGNALFLOW_STATE_DIR", str(tmp_path))
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def run(*arguments: str, stdin: str | None = None) -> Result:
    app = typer.Typer()
    user_command.register(app)
    key_command.register(app)
    result = CliRunner().invoke(app, list(arguments), input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


async def _ask(url: str, method: str, path: str, **options: object) -> httpx.Response:
    async with running(settings_of(url)) as app, client_of(app) as client:
        return await client.request(method, path, **options)  # type: ignore[arg-type]


def ask(url: str, method: str, path: str, **options: object) -> httpx.Response:
    return run_sync(_ask(url, method, path, **options))


def test_a_user_that_was_added_signs_in_until_disabled_and_the_password_comes_from_stdin(database_url: str) -> None:
    assert run("user", "add", "Ada", "--role", "operator", stdin=f"{PASSWORD}\n").exit_code == 0
    given = {"username": "ada", "password": PASSWORD}
    assert ask(database_url, "POST", "/api/token/", json=given).status_code == 200
    run("user", "passwd", "ada", stdin="another long password\n")
    assert ask(database_url, "POST", "/api/token/", json=given).status_code == 401
    given["password"] = "another long password"
    assert ask(database_url, "POST", "/api/token/", json=given).status_code == 200
    run("user", "disable", "ada")
    assert ask(database_url, "POST", "/api/token/", json=given).status_code == 401
    (listed,) = json.loads(run("user", "list", "--json").stdout)
    assert (listed["name"], listed["role"], listed["has_password"]) == ("ada", "operator", True)
    assert listed["disabled_at"] is not None
    assert "ada" in run("user", "list").stdout


def test_no_command_takes_a_password_as_argument() -> None:
    for command in ("add", "passwd"):
        text = run("user", command, "--help").stdout
        assert "--password" not in text.replace("--without-password", "")


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (("user", "add", "ada"), "short\n", "too short"),
        (("user", "add", "a b"), f"{PASSWORD}\n", "a user name has"),
        (("user", "passwd", "nobody"), f"{PASSWORD}\n", "there is no user 'nobody'"),
        (("user", "disable", "nobody"), None, "there is no user 'nobody'"),
        (("user", "role", "nobody", "admin"), None, "there is no user 'nobody'"),
        (("user", "link", "nobody"), None, "there is no user 'nobody'"),
        (("key", "create", "nobody"), None, "there is no user 'nobody'"),
        (("key", "revoke", "0123"), None, "the key '0123' does not exist"),
    ],
)
def test_a_command_that_cannot_be_carried_out_says_why(
    arguments: tuple[str, ...], stdin: str | None, message: str
) -> None:
    with pytest.raises(Invalid, match=message):
        run(*arguments, stdin=stdin)


def test_two_users_cannot_have_the_same_name() -> None:
    run("user", "add", "ada", "--without-password")
    with pytest.raises(Invalid, match="already"):
        run("user", "add", "ADA", "--without-password")


def test_a_key_is_shown_once_works_and_is_revoked_by_its_prefix(database_url: str) -> None:
    run("user", "add", "ada", "--role", "admin", "--without-password")
    made = json.loads(run("key", "create", "ada", "--scope", "read", "--scope", "dlq", "--json").stdout)
    assert made["scopes"] == ["dlq", "read"]
    key = made["key"]
    assert ask(database_url, "GET", "/api/session/", headers=authorized(key)).json()["kind"] == "key"
    listed = run("key", "list", "--json").stdout
    (row,) = json.loads(listed)
    assert key not in listed
    assert row["last_used_at"] is not None
    run("key", "revoke", row["prefix"])
    assert ask(database_url, "GET", "/api/session/", headers=authorized(key)).status_code == 401


def test_a_printed_link_leads_to_the_address_of_the_api_and_signs_in_once(database_url: str) -> None:
    run("user", "add", "ada", "--without-password")
    made = json.loads(run("user", "link", "ada", "--json").stdout)
    assert made["url"].startswith("http://127.0.0.1:8000/sign-in/link?token=")
    path = made["url"].removeprefix("http://127.0.0.1:8000")
    answers = [ask(database_url, "GET", path) for _ in range(2)]
    assert [answer.headers["location"] for answer in answers] == ["/", "/sign-in?next=%2F&why=link"]


def test_every_change_is_in_the_audit_log_with_the_account_of_the_system(database_url: str) -> None:
    run("user", "add", "ada", "--role", "admin", "--without-password")
    run("user", "role", "ada", "reader")
    run("user", "disable", "ada")
    run("user", "enable", "ada")
    run("user", "role", "ada", "admin")
    run("user", "link", "ada")
    key = json.loads(run("key", "create", "ada", "--scope", "admin", "--json").stdout)["key"]
    entries = ask(database_url, "GET", "/api/audit/", headers=authorized(key)).json()["items"]
    assert [entry["action"] for entry in reversed(entries)] == [
        "user.add",
        "user.role",
        "user.disable",
        "user.enable",
        "user.role",
        "user.link",
        "key.create",
    ]
    assert {entry["who"][:3] for entry in entries} == {"cli"}
