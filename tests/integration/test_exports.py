"""Exports on a real database: all rows once, in each format, and whole again after they were broken off."""

import asyncio
import csv
import io
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer import Typer
from typer.testing import CliRunner, Result

from signalflow.cli import export
from signalflow.errors import Retryable
from signalflow.exports.tables import TABLES, iso
from signalflow.settings import get_settings
from signalflow.storage import export_pages
from signalflow.storage.comment_writer import write_comments
from tests.integration.comment_rows import comment, seen
from tests.integration.posts_api import api_of, store
from tests.integration.signal_rows import store_signals, viral
from tests.integration.storage_rows import NOON, features, pool_of

KEY = "a key for pseudonyms of this test"
POSTS = 23
PAGE = 5


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_pages, "PAGE_ROWS", PAGE)
    monkeypatch.setattr(export_pages, "OBSERVED_POSTS", 2)
    monkeypatch.setattr(export_pages, "OBSERVATIONS", 4)


async def store_posts(url: str) -> list[str]:
    """Posts of two subreddits, several of the same moment; their ids, newest first."""
    rows = [
        {
            "id": f"p{number:02}",
            "created_utc": NOON - timedelta(minutes=number // 3),
            "subreddit": "python" if number % 2 else "rust",
            "author": f"Author{number % 3}",
            "title": f"Title {number}, with a comma",
            "body": "=1+1",
            "nlp": features(0.5, "green cheese"),
        }
        for number in range(POSTS)
    ]
    await store(url, *[dict(row) for row in rows])
    return [row["id"] for row in sorted(rows, key=lambda row: (row["created_utc"], row["id"]), reverse=True)]


async def store_comments(url: str) -> None:
    async with await pool_of(url) as pool:
        await write_comments(
            pool, [seen(comment(f"c{number}", created_utc=NOON + timedelta(minutes=number))) for number in range(7)]
        )


async def store_history(url: str) -> list[tuple[str, str]]:
    """Posts with none to ten observations; id and time of each observation, newest post first, oldest time first."""
    posts = [
        (f"h{number}", NOON - timedelta(minutes=number), "python" if number % 2 else "rust") for number in range(11)
    ]
    await store(
        url,
        *[
            {"id": id_, "created_utc": created, "subreddit": subreddit, "current_score": seen, **at(created, 1 + seen)}
            for number, (id_, created, subreddit) in enumerate(posts)
            for seen in reversed(range(number))
        ],
        # Its post was never observed with numbers.
        {"id": "h0", "created_utc": NOON, "current_score": None, **at(NOON, 1)},
    )
    return [
        (id_, iso(created + timedelta(seconds=1 + seen)))
        for number, (id_, created, _) in enumerate(posts)
        for seen in range(number)
    ]


def at(created: datetime, seconds: float) -> dict[str, Any]:
    moment = created + timedelta(seconds=seconds)
    return {"observed_at": moment, "first_seen_at": moment, "emitted_at": moment}


def table_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


async def download(client: httpx.AsyncClient, path: str, **parameters: Any) -> httpx.Response:
    answer = await client.get(f"/api/export/{path}/", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer


async def test_every_format_has_every_row_once_newest_first(client: httpx.AsyncClient, database_url: str) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    ids = await store_posts(database_url)
    answer = await download(client, "posts")
    rows = table_of(answer.text)
    assert [row["id"] for row in rows] == ids
    assert list(rows[0]) == [column.name for column in TABLES["posts"]]
    assert (rows[0]["body"], json.loads(rows[0]["keywords"])) == ("'=1+1", ["green cheese"])
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="posts.csv"'
    lines = (await download(client, "posts", format="ndjson")).text.splitlines()
    objects = [json.loads(line) for line in lines]
    assert [row["id"] for row in objects] == ids
    one = (await client.get(f"/api/posts/{ids[0]}/")).json()
    named = {column.name for column in TABLES["posts"]}
    assert objects[0] == {key: value for key, value in (one | one["nlp"]).items() if key in named}
    read = parquet.read_table(io.BytesIO((await download(client, "posts", format="parquet")).content)).to_pylist()
    assert [(row["id"], row["title"], row["keywords"]) for row in read] == [
        (row["id"], row["title"], row["keywords"]) for row in objects
    ]


async def test_comments_are_exported_within_their_filters(client: httpx.AsyncClient, database_url: str) -> None:
    await store_comments(database_url)
    rows = table_of((await download(client, "comments")).text)
    assert [row["id"] for row in rows] == [f"c{number}" for number in reversed(range(7))]
    assert list(rows[0]) == [column.name for column in TABLES["comments"]]
    within = {
        "created_from": (NOON + timedelta(minutes=2)).isoformat(),
        "created_to": (NOON + timedelta(minutes=4)).isoformat(),
    }
    assert [row["id"] for row in table_of((await download(client, "comments", **within)).text)] == ["c3", "c2"]
    listed = (await client.get("/api/comments/", params=within)).json()["items"]
    assert [item["id"] for item in listed] == ["c3", "c2"]


async def test_the_observations_of_posts_come_post_by_post_and_go_on_within_a_post(
    client: httpx.AsyncClient, database_url: str
) -> None:
    observed = await store_history(database_url)
    whole = (await download(client, "history")).text
    rows = table_of(whole)
    assert [(row["post_id"], row["observed_at"]) for row in rows] == observed
    assert list(rows[0]) == [column.name for column in TABLES["history"]]
    assert [row["score"] for row in rows if row["post_id"] == "h3"] == ["0", "1", "2"]
    assert {row["created_utc"] for row in rows if row["post_id"] == "h3"} == {iso(NOON - timedelta(minutes=3))}
    lines = whole.splitlines(keepends=True)
    for done in (1, 3, 8, len(observed)):
        post, time = observed[done - 1]
        rest = (await download(client, "history", after=f"t3_{post}@{time}")).text
        assert rest == "".join(lines[1 + done :])
    of_rust = table_of((await download(client, "history", subreddit="RUST", pseudonyms=True)).text)
    assert [(row["post_id"], row["observed_at"]) for row in of_rust] == [
        (id_, time) for id_, time in observed if int(id_[1:]) % 2 == 0
    ]
    assert {row["subreddit"] for row in of_rust} == {"rust"}


async def store_signals_of_minutes(url: str) -> list[str]:
    """Signals, three of each minute; their ids, the latest begun first."""
    rows = [
        viral(
            f"s{number:02}", started_at=NOON - timedelta(minutes=number // 3), subreddit="Rust" if number % 2 else None
        )
        for number in range(12)
    ]
    async with await pool_of(url) as pool:
        await store_signals(pool, *rows)
    return [row["id"] for row in sorted(rows, key=lambda row: (row["started_at"], row["id"]), reverse=True)]


async def test_signals_are_exported_with_the_numbers_that_say_so_and_go_on_behind_one(
    client: httpx.AsyncClient, database_url: str
) -> None:
    ids = await store_signals_of_minutes(database_url)
    whole = (await download(client, "signals")).text
    rows = table_of(whole)
    assert [row["id"] for row in rows] == ids
    assert list(rows[0]) == [column.name for column in TABLES["signals"]]
    assert json.loads(rows[0]["inputs"])["log_odds_score"] == 1.2
    assert (rows[0]["post_ids"], rows[0]["source_offset"]) == ('["s02"]', "7")
    for done in (1, 5, 12):
        rest = (await download(client, "signals", after=ids[done - 1])).text
        assert rest == "".join(whole.splitlines(keepends=True)[1 + done :])
    within = {"subreddit": "rust", "since": (NOON - timedelta(minutes=1)).isoformat(), "kind": "viral"}
    lines = (await download(client, "signals", format="ndjson", **within)).text.splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["viral-s01", "viral-s05", "viral-s03"]
    assert (await download(client, "signals", format="parquet")).content[-4:] == b"PAR1"


def test_the_command_exports_signals_by_subreddit_and_start(database: str, tmp_path: Path) -> None:
    asyncio.run(store_signals_of_minutes(database))
    file = tmp_path / "signals.ndjson"
    until = (NOON - timedelta(minutes=1)).isoformat()
    assert "5 signals" in run("signals", file, "--subreddit", "rust", "--until", NOON.isoformat()).output
    assert {json.loads(line)["subreddit"] for line in file.read_text(encoding="utf-8").splitlines()} == {"Rust"}
    assert len(run("signals", "-", "--since", until).stdout.splitlines()) == 6


@pytest.mark.parametrize("after", ["h3", "h3@noon", "h3@2026-01-01T00:00:00", "nobody@2026-01-01T00:00:00Z"])
async def test_a_place_in_the_history_that_is_none_is_a_problem(
    client: httpx.AsyncClient, database_url: str, after: str
) -> None:
    await store_history(database_url)
    answer = await client.get("/api/export/history/", params={"after": after})
    assert (answer.status_code, answer.json()["errors"][0]["parameter"]) == (422, "after")


async def test_filters_pseudonyms_and_a_second_part(database_url: str) -> None:
    ids = await store_posts(database_url)
    async with api_of(database_url, pseudonym_key=KEY) as client:
        whole = (await download(client, "posts", subreddit="python", pseudonyms=True)).text
        rows = table_of(whole)
        assert [row["id"] for row in rows] == [id_ for id_ in ids if int(id_[1:]) % 2]
        assert len({row["author"] for row in rows}) == 3
        assert "Author" not in whole
        after = rows[6]["id"]
        rest = (await download(client, "posts", subreddit="python", pseudonyms=True, after=f"t3_{after}")).text
        assert whole.endswith(rest)
        assert len(whole.splitlines()) == 8 + len(rest.splitlines()), "a header, and seven rows"
        nothing = await download(client, "posts", subreddit="nothing")
        assert [nothing.text] == [",".join(column.name for column in TABLES["posts"]) + "\r\n"]


async def test_what_cannot_be_exported_is_a_problem_and_not_half_a_file(
    client: httpx.AsyncClient, database_url: str
) -> None:
    await store_posts(database_url)
    unknown = await client.get("/api/export/posts/", params={"after": "zzz"})
    assert (unknown.status_code, unknown.json()["errors"][0]["parameter"]) == (422, "after")
    parquet = await client.get("/api/export/posts/", params={"after": "p01", "format": "parquet"})
    assert (parquet.status_code, parquet.json()["errors"][0]["parameter"]) == (422, "after")
    assert (await client.get("/api/export/posts/", params={"format": "xlsx"})).status_code == 422


async def test_a_slot_is_free_again_after_each_export(client: httpx.AsyncClient, database_url: str) -> None:
    await store_posts(database_url)
    for _ in range(6):
        await download(client, "posts")
        assert (await client.get("/api/export/posts/", params={"after": "zzz"})).status_code == 422
        assert (await client.head("/api/export/posts/")).status_code == 200


# --- the command


def app_of() -> Typer:
    app = Typer()
    export.register(app)
    return app


def run(*arguments: object, status: int = 0) -> Result:
    result = CliRunner().invoke(app_of(), [str(argument) for argument in arguments])
    assert result.exit_code == status, (result.output, result.exception)
    return result


@pytest.fixture
def stored(database: str) -> list[str]:
    return asyncio.run(store_posts(database))


class BrokenOff(Exception):
    """Stands for a process that ends within an export."""


def break_off(monkeypatch: pytest.MonkeyPatch, after_pages: int) -> None:
    """Let the pages end with an error after so many."""
    real = export_pages._pages

    async def broken(*arguments: Any) -> Any:
        pages = 0
        async for page in real(*arguments):
            if pages == after_pages:
                raise BrokenOff
            pages += 1
            yield page

    monkeypatch.setattr(export_pages, "_pages", broken)


@pytest.mark.parametrize("name", ["posts.csv", "posts.ndjson"])
@pytest.mark.parametrize("pseudonyms", [(), ("--pseudonyms",)])
def test_an_export_that_was_broken_off_goes_on_and_is_the_same_file(
    stored: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, pseudonyms: tuple[str, ...]
) -> None:
    monkeypatch.setenv("SIGNALFLOW_PSEUDONYM_KEY", KEY)
    run("posts", tmp_path / f"whole-{name}", *pseudonyms)
    file = tmp_path / name
    with monkeypatch.context() as broken:
        break_off(broken, 3)
        assert isinstance(CliRunner().invoke(app_of(), ["posts", str(file), *pseudonyms]).exception, BrokenOff)
    assert not file.exists()
    part = tmp_path / f"{name}.part"
    with part.open("ab") as torn:
        torn.write(b"half a li")
    refused = run("posts", file, *pseudonyms, status=1)
    assert "--resume goes on" in str(refused.exception)
    refused = run("posts", file, "--subreddit", "rust", *pseudonyms, "--resume", status=1)
    assert "of other rows" in str(refused.exception)
    answer = json.loads(run("posts", file, *pseudonyms, "--resume", "--json").stdout)
    assert file.read_bytes() == (tmp_path / f"whole-{name}").read_bytes()
    assert answer == {"file": str(file), "rows": POSTS, "bytes": file.stat().st_size}
    assert [path.name for path in sorted(tmp_path.iterdir())] == [name, f"whole-{name}"]
    assert "exists" in str(run("posts", file, "--resume", status=1).exception)


def test_a_file_of_its_own_pseudonyms_keeps_them_when_it_goes_on(
    stored: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "posts.csv"
    with monkeypatch.context() as broken:
        break_off(broken, 1)
        CliRunner().invoke(app_of(), ["posts", str(file), "--pseudonyms"])
    assert (tmp_path / "posts.csv.part.json").stat().st_mode & 0o077 == 0, "the key is in it"
    run("posts", file, "--pseudonyms", "--resume")
    rows = table_of(file.read_text(encoding="utf-8"))
    assert [row["id"] for row in rows] == stored
    assert len({row["author"] for row in rows}) == 3


def test_filters_formats_and_the_output(stored: list[str], tmp_path: Path) -> None:
    rows = [json.loads(line) for line in run("posts", "-", "--author", "u/author1").stdout.splitlines()]
    assert [row["id"] for row in rows] == [id_ for id_ in stored if int(id_[1:]) % 3 == 1]
    until = (NOON - timedelta(minutes=2)).isoformat()
    found = run("posts", "-", "--format", "csv", "--since", until, "--words", "comma", "--subreddit", "r/Rust").stdout
    assert {row["id"] for row in table_of(found)} == {"p00", "p02", "p04", "p06", "p08"}
    assert run("posts", "-", "--words", "!!", "--since", until).stdout == "", "a piece of text"
    assert "23 posts" in run("posts", tmp_path / "x.PARQUET").output
    assert (tmp_path / "x.PARQUET").read_bytes()[-4:] == b"PAR1"


def test_an_export_of_the_history_goes_on_within_a_post(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    observed = asyncio.run(store_history(database))
    file = tmp_path / "history.csv"
    with monkeypatch.context() as broken:
        real = export_pages._observations

        async def torn(reads: Any, posts: Any, after: Any = None) -> Any:
            async for page in real(reads, posts, after):
                yield page
                if page[-1]["post_id"] == "h5":
                    raise BrokenOff

        broken.setattr(export_pages, "_observations", torn)
        assert isinstance(CliRunner().invoke(app_of(), ["history", str(file)]).exception, BrokenOff)
    noted = json.loads((tmp_path / "history.csv.part.json").read_text(encoding="utf-8"))
    post, time = observed[noted["rows"] - 1]
    assert (post, noted["last"]) == ("h5", f"h5@{time}")
    assert (post, time) != max(each for each in observed if each[0] == "h5"), "it was broken off within the post"
    result = run("history", file, "--resume")
    assert "55 observations" in result.output
    rows = table_of(file.read_text(encoding="utf-8"))
    assert [(row["post_id"], row["observed_at"]) for row in rows] == observed


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("users", "x.csv"), "posts, comments, history, signals"),
        (("signals", "x.csv", "--author", "ada"), "signals have no authors and no words"),
        (("posts", "x.xlsx"), "give --format"),
        (("posts", "x.csv", "--format", "xml"), "csv, ndjson or parquet"),
        (("posts", "x.parquet", "--resume"), "can be continued"),
        (("posts", "-", "--json"), "give a file"),
        (("posts", "x.csv", "--since", "yesterday"), "ISO 8601"),
        (("posts", "x.csv", "--since", "2026-02-01", "--until", "2026-01-01"), "must be before --until"),
        (("posts", "x.csv", "--words", "mars score>many"), "many is no number"),
        (("posts", "x.csv", "--subreddit", "a b"), "is not the name of a subreddit"),
    ],
)
def test_wrong_use_is_named(arguments: tuple[str, ...], says: str) -> None:
    assert says in " ".join(run(*arguments, status=2).output.replace("│", " ").split())


@pytest.mark.parametrize("name", ["posts.csv", "posts.parquet"])
def test_an_export_that_fails_at_once_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("SIGNALFLOW_DATABASE_URL", "postgresql://u:p@127.0.0.1:9/d")
    get_settings.cache_clear()
    assert isinstance(run("posts", tmp_path / name, status=1).exception, Retryable)
    assert list(tmp_path.iterdir()) == []
    get_settings.cache_clear()
