"""Fixtures of the browser tests. The tests of a module share an installation, a Chromium and a session."""

import asyncio
import os
import re
import shutil
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import axe_playwright_python
import pytest
import pytest_asyncio
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Route,
    StorageState,
    async_playwright,
    expect,
)
from pydantic import SecretStr

from signalflow.local.kafka import EmbeddedKafka
from signalflow.local.ports import free_ports
from signalflow.local.postgres import EmbeddedPostgres
from signalflow.settings import Settings
from tests.api_clients import test_secret
from tests.browser.installation import USER, Installation, settings_for
from tests.conftest import _execute
from tests.integration.accounts_api import PASSWORD

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js")
# The browser also complains about what a test does on purpose: it stops the API, holds a file back, asks for too much.
EXPECTED = (
    "ERR_CONNECTION_RE", "ERR_EMPTY_RESPONSE", "ERR_FAILED", "WebSocket", "status of 401", "status of 422",
    # Every page asks whether the API is ready. It says no when the database has not answered for two seconds, which on
    # a busy machine is no fault of the page.
    "/ready ",
)  # fmt: skip
COMPLAINTS = ("error", "warning")

# Though no window is ever seen, Chromium loads the pages of its address bar for each context. They cost more processor
# time than the page that is tested.
ADDRESS_BAR = ("WebUIOmniboxPopup", "WebUIOmniboxAimPopup", "WebUIOmniboxFullPopup")
# Only the last list of disabled features counts, so those that Playwright disables in Chromium are repeated.
WITHOUT = (
    *ADDRESS_BAR, "AimEnabled", "AvoidCorsURLLoaderRestartOnRedirect", "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose", "HttpsFirstBalancedModeAutoEnable", "HttpsUpgrades", "LensOverlay", "MediaRouter",
    "NetworkTimeServiceQuerying", "OptimizationHints", "PaintHolding", "PreconnectToSearch",
    "TcpPortRandomizationWin", "ThirdPartyStoragePartitioning",
)  # fmt: skip

# A page whose numbers come late is right all the same, and other tests share its machine.
expect.set_options(timeout=15_000)

Visit = Callable[..., Awaitable[Page]]
NewContext = Callable[..., Awaitable[BrowserContext]]


class HeldBack:
    """A handler of a route that holds requests back until `let_go`. `asked` is set when the first request has come."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self._free = asyncio.Event()

    async def __call__(self, route: Route) -> None:
        """Hold a request back until `let_go` was called."""
        self.asked.set()
        await self._free.wait()
        await route.continue_()

    def let_go(self) -> None:
        """Let the waiting requests through, and all later ones."""
        self._free.set()

    async def deliver(self, page: Page, url: re.Pattern[str]) -> None:
        """Let the requests through, and wait until the page has dealt with the late answer."""
        async with page.expect_response(url) as answer:
            self.let_go()
        await (await answer.value).finished()
        # A page deals with its answers in their order.
        await page.evaluate("fetch('/api/about/').then((answer) => answer.text())")


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of Chromium. Without it the tests are skipped, or fail when SIGNALFLOW_TEST_BROWSER is `required`."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        reason = f"no browser: none of {', '.join(NAMES)} is installed (Debian: apt-get install chromium)"
        if os.environ.get("SIGNALFLOW_TEST_BROWSER") == "required":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def installation(
    chromium: str,
    kafka_server: EmbeddedKafka,
    postgres_server: EmbeddedPostgres,
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Installation]:
    """An installation that runs and has data."""
    unique = uuid.uuid4().hex[:8]
    database = f"browser_{unique}"
    await _execute(postgres_server.url("postgres"), f"CREATE DATABASE {database} TEMPLATE {migrated_template}")
    settings = Settings(
        kafka=kafka_server.bootstrap,
        database_url=SecretStr(postgres_server.url(database)),
        state_dir=tmp_path_factory.mktemp("browser"),
        app_id=f"signalflow-{unique}",
        topic_prefix=f"browser-{unique}-",
        topic_partitions=2,
    )
    made = Installation(settings_for(settings, test_secret), free_ports(1)[0])
    await made.seed()
    made.start()
    yield made
    made.stop()
    await _execute(postgres_server.url("postgres"), f"DROP DATABASE {database} WITH (FORCE)")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """Chromium without a window. It has no sandbox when root runs it, and sees only our own pages."""
    arguments = [f"--disable-features={','.join(WITHOUT)}", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield launched
        await launched.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def signed_in(browser: Browser, installation: Installation) -> StorageState:
    """The cookies of a user who signed in with the form."""
    context = await browser.new_context(base_url=installation.url)
    page = await context.new_page()
    await page.goto("/sign-in")
    await page.get_by_label("Name").fill(USER)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url("**/")
    state = await context.storage_state()
    await context.close()
    return state


@asynccontextmanager
async def contexts(browser: Browser, installation: Installation, signed_in: StorageState) -> AsyncIterator[NewContext]:
    """Makes contexts that are signed in and closes them. Fails if one of their pages wrote an error or a warning."""
    made: list[BrowserContext] = []
    complaints: list[str] = []

    async def make(**options: object) -> BrowserContext:
        context = await browser.new_context(
            **{  # type: ignore[arg-type]
                "base_url": installation.url,
                "storage_state": signed_in,
                "locale": "en-GB",
                "viewport": {"width": 1280, "height": 900},
                **options,
            }
        )
        context.set_default_timeout(10_000)
        context.on("weberror", lambda error: complaints.append(f"uncaught: {error.error}"))
        context.on("console", lambda line: complaints.append(complaint(line)) if line.type in COMPLAINTS else None)
        made.append(context)
        return context

    yield make
    for context in made:
        await context.close()
    assert [line for line in complaints if not any(known in line for known in EXPECTED)] == []


def complaint(line: ConsoleMessage) -> str:
    """What a line of the console says, and of which address."""
    return f"{line.text} at {line.location['url']} "


@pytest_asyncio.fixture(loop_scope="module")
async def new_context(
    browser: Browser, installation: Installation, signed_in: StorageState
) -> AsyncIterator[NewContext]:
    """Makes browser contexts that are signed in. The test fails if one of their pages wrote an error or a warning."""
    async with contexts(browser, installation, signed_in) as make:
        yield make


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def modules_page(browser: Browser, installation: Installation, signed_in: StorageState) -> AsyncIterator[Page]:
    """One page for all tests of a module that only call functions of the dashboard's modules."""
    async with contexts(browser, installation, signed_in) as make:
        page = await (await make()).new_page()
        await page.goto("/subreddits")
        yield page


@pytest_asyncio.fixture(loop_scope="module")
async def visit(new_context: NewContext) -> Visit:
    """Opens a path in a new context, and waits until the page is live."""

    async def open_page(path: str = "/", **options: object) -> Page:
        page = await (await new_context(**options)).new_page()
        await page.goto(path)
        await page.locator(".live[data-state=live]").wait_for()
        return page

    return open_page
