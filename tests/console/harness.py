"""What the tests of the console share: the real program, and a real Chromium that looks at it.

A plugin of pytest (`-p harness`), because the tests are handed the program and the storage by the recipe, not by a place in
the tree. `tests/console/run` sets what is read here:

STROM_TEST_PROGRAM   the program
STROM_TEST_CHROMIUM  the browser; without it the one that is installed
DATABASE_URL         a PostgreSQL to use, each server with a database of its own; without it each has a file of its own
STROM_SCREENSHOTS    the folder for the pictures of the documentation; without it none are made
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

#: How long the browser waits for anything that a test expects, in milliseconds. Only failures take that long.
PATIENCE = 30_000
expect.set_options(timeout=PATIENCE)


class Server:
    """The real program over a storage of its own."""

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
        """Also again, on the same port, after `stop`."""
        environment = {name: value for name, value in os.environ.items() if not re.match("STROM_|PG|DATABASE_URL", name)}
        storage = ["--database-url", self.database] if self.database else ["--flows-path", str(self.folder / "flows.json")]
        log = open(self.folder / "log", "a")
        command = [os.environ["STROM_TEST_PROGRAM"], "serve", "--port", str(self.port), "--data-dir", str(self.folder), *storage, *self.arguments]
        self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment | {"RUST_LOG": "warn"})
        log.close()
        begun = self.log().count("http://127")
        deadline = time.monotonic() + 60
        while True:
            told = re.findall(r"http://127[0-9.]+:(\d+)", self.log())
            if told and self.is_up(int(told[-1])):
                self.port = int(told[-1])
                break
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the program did not start ({begun}): {self.log()}")
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
        """The status, the JSON and the text of an answer."""
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
    """A server, and the pages that are open to it."""

    def __init__(self, server, browser, folder):
        self.server, self.browser, self.folder = server, browser, folder
        self.contexts = []
        self.wrong = []
        self.call = server.call

    @property
    def url(self):
        return self.server.url

    def page(self, **options):
        """A page in a browser of its own: nothing is shared with others, as with two people."""
        context = self.browser.new_context(base_url=self.url, accept_downloads=True, **options)
        context.set_default_timeout(PATIENCE)
        self.contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: self.wrong.append(f"an error on the page: {error}"))
        # Refused answers are written to the browser's console by itself, and are often what is tested.
        page.on("console", lambda said: said.type == "error" and "Failed to load resource" not in said.text and self.wrong.append(said.text))
        page.on("request", lambda request: self.own(request.url))
        return page

    def own(self, url):
        if urlsplit(url).netloc not in ("", urlsplit(self.url).netloc):
            self.wrong.append(f"the page asked somebody else: {url}")

    def open(self, page, hash="#/"):
        """Opens this place of the console; the page is there when the program has told who is asking."""
        page.goto(f"/{hash}")
        page.locator("main > *").first.wait_for()
        return page

    def screenshot(self, page, name):
        """A picture for the documentation, when it is asked for."""
        folder = os.environ.get("STROM_SCREENSHOTS")
        if folder:
            page.screenshot(path=str(Path(folder) / f"{name}.png"))

    def close(self):
        for context in self.contexts:
            context.close()
        self.contexts.clear()


@pytest.fixture(scope="session")
def browser():
    path = os.environ.get("STROM_TEST_CHROMIUM") or shutil.which("chromium")
    assert path, "no chromium: install Debian's package `chromium`, or name one with STROM_TEST_CHROMIUM"
    with sync_playwright() as playwright:
        # Nobody but root has Chromium without its sandbox, and only because it cannot have it; it sees our pages alone.
        arguments = ["--no-sandbox"] if os.getuid() == 0 else []
        chromium = playwright.chromium.launch(executable_path=path, args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture
def serve(tmp_path, browser):
    """Starts servers of a test's own: `serve(*arguments)` gives a console."""
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
    """A server for the tests of one file."""
    folder = tmp_path_factory.mktemp("server")
    server = Server(folder, database=new_database(f"console_{os.getpid()}_{abs(hash(folder)) % 10**8}"))
    yield server
    server.stop()


@pytest.fixture
def console(server, browser, tmp_path):
    """The console of a server that other tests of the file use too."""
    console = Console(server, browser, tmp_path)
    yield console
    console.close()
    check([console])


def check(consoles):
    """Whatever a test is about: no error in the browser, no request to anybody else, no panic in the program."""
    for console in consoles:
        assert not console.wrong, console.wrong
        assert "panicked" not in console.server.log(), console.server.log()


def new_database(name):
    """A database of its own, where there is a PostgreSQL."""
    url = os.environ.get("DATABASE_URL")
    if not url:
        return None
    # psql is where PostgreSQL's programs are, which need not be in the path.
    psql = shutil.which("psql")
    if psql:
        subprocess.run([psql, "--quiet", url, "--command", f'CREATE DATABASE "{name}"'], check=True)
        return urlsplit(url)._replace(path=f"/{name}").geturl()
    raise RuntimeError("no psql: install PostgreSQL's client")


def pytest_configure(config):
    config.addinivalue_line("markers", "large: needs 100,000 flows and some time")
