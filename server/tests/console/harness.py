"""Fixtures of the console tests: the real program, and a real Chromium that opens its pages.

This file is a pytest plugin (`-p harness`). `tests/console/run` loads it and sets these variables:

STROM_TEST_PROGRAM   the program
STROM_TEST_CHROMIUM  the browser. Default: the installed one
DATABASE_URL         a PostgreSQL server, on which each program gets its own database. Default: each program gets its own file
STROM_SCREENSHOTS    the folder for the screenshots of the documentation. Default: no screenshots
"""

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect, sync_playwright

#: The time limit of an expectation in milliseconds. Only failing expectations take this long.
TIMEOUT_MS = 30_000
expect.set_options(timeout=TIMEOUT_MS)


class Server:
    """The real program with its own storage."""

    def __init__(self, folder, arguments=(), database=None):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.arguments = list(arguments)
        self.database = database
        self.url = self.process = None
        self.key = None
        self.port = 0
        self.start()

    @property
    def is_file(self):
        return self.database is None

    def start(self):
        """Starts the program. After `stop`, it restarts on the same port."""
        environment = {name: value for name, value in os.environ.items() if not re.match("STROM_|PG|DATABASE_URL", name)}
        storage = ["--database-url", self.database] if self.database else ["--flows-path", str(self.folder / "flows.json")]
        log = open(self.folder / "log", "a")
        command = [os.environ["STROM_TEST_PROGRAM"], "serve", "--port", str(self.port), "--data-dir", str(self.folder), *storage, *self.arguments]
        self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment | {"RUST_LOG": "warn"})
        log.close()
        started = self.log().count("http://127")
        deadline = time.monotonic() + 60
        while True:
            ports = re.findall(r"http://127[0-9.]+:(\d+)", self.log())
            if ports and self.is_up(int(ports[-1])):
                self.port = int(ports[-1])
                break
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the program did not start ({started}): {self.log()}")
            time.sleep(0.05)
        self.url = f"http://127.0.0.1:{self.port}"

    def log(self):
        return (self.folder / "log").read_text()

    def is_up(self, port):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def call(self, method, path, body=None, headers=None):
        """Sends a request. Returns status, JSON and text of the response."""
        data = body if body is None or isinstance(body, str) else json.dumps(body)
        sent = {"Content-Type": "application/json"} if data is not None else {}
        if self.key:
            sent["X-API-Key"] = self.key
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        connection.request(method, path, data.encode() if data is not None else None, sent | (headers or {}))
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        is_json = text and "json" in (answer.getheader("Content-Type") or "") and "ndjson" not in answer.getheader("Content-Type")
        return answer.status, json.loads(text) if is_json else None, text


class Console:
    """A server and its open pages."""

    def __init__(self, server, browser, folder):
        self.server, self.browser, self.folder = server, browser, folder
        self.contexts = []
        self.errors = []
        self.call = server.call

    @property
    def url(self):
        return self.server.url

    def page(self, **options):
        """Opens a page in its own browser context, so that pages share nothing, like two users."""
        context = self.browser.new_context(base_url=self.url, accept_downloads=True, **options)
        context.set_default_timeout(TIMEOUT_MS)
        self.contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: self.errors.append(f"an error on the page: {error}"))
        # The browser logs every unsuccessful response. Many tests provoke one.
        page.on("console", lambda message: message.type == "error" and "Failed to load resource" not in message.text and self.errors.append(message.text))
        page.on("request", lambda request: self.check_host(request.url))
        return page

    def check_host(self, url):
        if urlsplit(url).netloc not in ("", urlsplit(self.url).netloc):
            self.errors.append(f"the page sent a request to another server: {url}")

    def open(self, page, hash="#/"):
        """Opens an address of the console, and waits until the session is known and a view is shown."""
        page.goto(f"/{hash}")
        page.locator("main > *").first.wait_for()
        return page

    def screenshot(self, page, name):
        """Takes a screenshot for the documentation if STROM_SCREENSHOTS is set."""
        folder = os.environ.get("STROM_SCREENSHOTS")
        if folder:
            page.screenshot(path=str(Path(folder) / f"{name}.png"))

    def close(self):
        for context in self.contexts:
            # A request may be in a route's handler at the end of a test; without this, its error appears in the next test.
            for page in context.pages:
                page.unroute_all(behavior="ignoreErrors")
            context.close()
        self.contexts.clear()


@pytest.fixture(scope="session")
def browser():
    path = os.environ.get("STROM_TEST_CHROMIUM") or shutil.which("chromium")
    assert path, "Chromium not found: install the Debian package `chromium`, or set STROM_TEST_CHROMIUM"
    with sync_playwright() as playwright:
        # Chromium's sandbox does not work as root. Without it, the browser opens only pages of our own server.
        arguments = ["--no-sandbox"] if os.getuid() == 0 else []
        chromium = playwright.chromium.launch(executable_path=path, args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture
def serve(tmp_path, browser):
    """Starts servers for one test: `serve(*arguments)` returns a console."""
    consoles = []

    def start(*arguments, key=None):
        number = len(consoles)
        database = new_database(f"console_{os.getpid()}_{abs(hash(tmp_path)) % 10**8}_{number}")
        server = Server(tmp_path / str(number), arguments, database)
        server.key = key
        consoles.append(Console(server, browser, tmp_path / str(number)))
        return consoles[-1]

    yield start
    for console in consoles:
        console.close()
        console.server.stop()
    check(consoles)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server that the tests of one file share."""
    folder = tmp_path_factory.mktemp("server")
    server = Server(folder, database=new_database(f"console_{os.getpid()}_{abs(hash(folder)) % 10**8}"))
    yield server
    server.stop()


@pytest.fixture
def console(server, browser, tmp_path):
    """The console of the shared server."""
    console = Console(server, browser, tmp_path)
    yield console
    console.close()
    check([console])


def check(consoles):
    """Checks after every test: no error in the browser, no request to another server, no panic in the program."""
    for console in consoles:
        assert not console.errors, console.errors
        assert "panicked" not in console.server.log(), console.server.log()


def new_database(name):
    """Creates a database if DATABASE_URL is set. Returns its URL, or `None`."""
    url = os.environ.get("DATABASE_URL")
    if not url:
        return None
    psql = shutil.which("psql")
    if psql:
        subprocess.run([psql, "--quiet", url, "--command", f'CREATE DATABASE "{name}"'], check=True)
        return urlsplit(url)._replace(path=f"/{name}").geturl()
    raise RuntimeError("psql not found: install the PostgreSQL client")


def pytest_configure(config):
    config.addinivalue_line("markers", "large: needs 100,000 flows and some time")
