"""The rules of the house (CONTRIBUTING.md), held by reading the source.

A rule is a function from a module to sentences, one for each breach. Every rule is also run on a made-up
breach, so that none of them passes because it looks at nothing.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from crawler.arguments import ARGUMENTS, SETTINGS

PROJECT = Path(__file__).parent.parent
CRAWLER = PROJECT / "crawler"

PURE = {
    "accounting",
    "addresses",
    "amounts",
    "arguments",
    "aside",
    "bar",
    "checking",
    "concluding",
    "credentials",
    "descriptors",
    "exceptions",
    "export",
    "fleet",
    "forecast",
    "garbage",
    "gauges",
    "headers",
    "interrupting",
    "items",
    "machine",
    "library",
    "meter",
    "pacing",
    "plan",
    "recording",
    "report",
    "run",
    "secrets",
    "sources",
    "stopping",
    "store",
    "telling",
    "trust",
    "values",
}
"""Rooms that know nothing of Scrapy: time, randomness and paths come in as values."""

ADAPTERS = {
    "commands",
    "declared",
    "downloader",
    "extensions",
    "middlewares",
    "pipelines",
    "retries",
    "scheduler",
    "shortway",
    "spiders",
    "switched",
    "wire",
}
"""Rooms that translate for Scrapy; they meet only in items, meta keys, stats and signals."""

OTHERS = {"addon", "console", "settings", "demo", "distributed", "heard", "paced", "retrying", "waking"}
"""The console script; the wiring, by dotted names; the API on loopback, which stands beside the crawler; a list that
several machines share, a Source for whoever opens the run; a question about signals; one more attempt, for every
component that sees a call fail; a knock at the engine's door; the add-on for other projects, and what it brings."""

FRAMEWORK = ("scrapy", "twisted", "itemadapter", "redis")
"""What a pure room never imports."""

FENCED: dict[str, str | tuple[str, ...]] = {
    "obstore": "crawler.store.objects",  # bodies in an object store
    "pyarrow": ("crawler.sources.parquet", "crawler.export.parquet"),  # lists in Parquet, records as Parquet
    "pycurl": "crawler.wire.curl",  # libcurl as the wire
    "redis": "crawler.distributed",  # a list that several machines share
    "rich": "crawler.bar",  # the bar
    "uvloop": "crawler.settings",  # only asked for by name, where it is installed
    "warcio": "crawler.export.warc",  # records as WARC
}
"""Optional dependency -> the one module, or package, that may import it; one for each way in and out."""

PRIVATE_OF_SCRAPY: dict[tuple[str, str], str] = {
    ("crawler.shortway", f"scrapy.core.{name}"): "its text is compared with what was read, by test_shortway"
    for name in (
        "engine.ExecutionEngine._start_scheduled_request",
        "engine.ExecutionEngine._start_scheduled_requests",
        "engine.ExecutionEngine._start_request_processing",
        "engine.ExecutionEngine._process_start_next",
        "engine.ExecutionEngine._download",
        "engine.ExecutionEngine._handle_downloader_output",
        "engine.ExecutionEngine._remove_request",
        "engine.ExecutionEngine._schedule_request",
        "scraper.Scraper._scrape",
        "scraper.Scraper._process_spidermw_output_async",
    )
} | {
    ("crawler.downloader.hooks", f"scrapy.{name}"): "its text is compared with what was read, by test_shortway"
    for name in (
        "core.downloader.handlers.DownloadHandlers._load_handler",
        "downloadermiddlewares.httpproxy.HttpProxyMiddleware._set_proxy_and_creds",
    )
}
"""(module, private name) -> why there is no public way. Each is a bet on Scrapy's next version."""

VAGUE = {"utils", "util", "helpers", "helper", "common", "misc"}
"""Names that say nothing of what is inside."""

LINES_AT_MOST = 300
"""A longer module wants to be two."""

HEAVY = ("duckdb", "pandas", "pyarrow", "pycurl", "redis", "twisted.internet.reactor")
"""What must not be loaded by importing a command: every `scrapy ...` call imports all of them."""


@dataclass(frozen=True, slots=True)
class Module:
    """A module as text. name: dotted; a package's __init__ has the package's name."""

    name: str
    source: str
    is_package: bool = False

    @property
    def room(self) -> str:
        """The part below `crawler` that the module belongs to; empty for `crawler` itself."""
        return [*self.name.split("."), ""][1]

    @property
    def tree(self) -> ast.Module:
        """The module parsed; SyntaxError names it."""
        return ast.parse(self.source, self.name)


Rule = Callable[[Module], Iterator[str]]


def modules_of_the_crawler() -> list[Module]:
    """Every Python file below crawler/."""
    found = []
    for path in sorted(CRAWLER.rglob("*.py")):
        parts = path.relative_to(PROJECT).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        found.append(Module(name, path.read_text(encoding="utf-8"), is_package))
    return found


# What a module imports


def imports(module: Module) -> Iterator[str]:
    """The dotted names that a module imports, wherever it does so: `from a import b` gives a.b.

    Imports for type checking count: a type in a signature is knowledge too. So does a literal name
    given to import_module().
    """
    for node in ast.walk(module.tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(names=names):
                yield from (f"{_origin(node, module)}.{alias.name}" for alias in names)
            case ast.Call(
                func=ast.Name(id="import_module") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield name


def _origin(node: ast.ImportFrom, module: Module) -> str:
    """The absolute name after `from`; *node* may be relative to *module*."""
    if not node.level:
        return node.module or ""
    package = module.name.split(".") if module.is_package else module.name.split(".")[:-1]
    package = package[: len(package) - (node.level - 1)]
    return ".".join([*package, *([node.module] if node.module else [])])


def is_inside(name: str, place: str) -> bool:
    """Whether a dotted name is *place* or below it."""
    return f"{name}.".startswith(f"{place}.")


def rooms_of(module: Module) -> Iterator[tuple[str, str]]:
    """(room, dotted name) of everything that a module imports from the crawler."""
    for name in imports(module):
        if is_inside(name, "crawler"):
            yield [*name.split("."), ""][1], name


# The rules


def every_room_is_known(module: Module) -> Iterator[str]:
    if module.room and module.room not in PURE | ADAPTERS | OTHERS:
        yield f"{module.name}: say in this test whether {module.room} is pure or an adapter"


def pure_rooms_know_no_framework(module: Module) -> Iterator[str]:
    if module.room in PURE:
        for name in imports(module):
            if any(is_inside(name, framework) for framework in FRAMEWORK):
                yield f"{module.name} is pure and imports {name}"


def pure_rooms_know_only_pure_rooms(module: Module) -> Iterator[str]:
    if module.room in PURE:
        for room, name in rooms_of(module):
            if room in ADAPTERS | OTHERS:
                yield f"{module.name} is pure and imports {name}"


def adapters_never_import_each_other(module: Module) -> Iterator[str]:
    if module.room in ADAPTERS | {"demo"}:
        for room, name in rooms_of(module):
            meets_demo = module.room == "commands" and room == "demo"
            if room in ADAPTERS | {"demo"} and room != module.room and not meets_demo:
                yield f"{module.name} imports {name}, another adapter's"


def optional_dependencies_stay_in_their_module(module: Module) -> Iterator[str]:
    for name in imports(module):
        fence = FENCED.get(name.split(".")[0])
        fences = (fence,) if isinstance(fence, str) else fence or ()
        if fences and not any(is_inside(module.name, place) for place in fences):
            yield f"{module.name} imports {name}, which belongs in {' or '.join(fences)}"


def no_name_is_vague(module: Module) -> Iterator[str]:
    if vague := VAGUE & set(module.name.split(".")):
        yield f"{module.name}: {vague.pop()} does not say what is inside"


def modules_are_short(module: Module) -> Iterator[str]:
    lines = len(module.source.splitlines())
    if lines > LINES_AT_MOST:
        yield f"{module.name}: {lines} lines, more than {LINES_AT_MOST}"


def private_names_of_scrapy_are_left_alone(module: Module) -> Iterator[str]:
    for name in _private_names(module):
        if (module.name, name) not in PRIVATE_OF_SCRAPY:
            yield f"{module.name} uses {name}, private to Scrapy"


def _private_names(module: Module) -> Iterator[str]:
    """Dotted names with a private part, imported from Scrapy or reached through what was imported."""
    bound = _bound_by_imports(module)
    attributes = (node for node in ast.walk(module.tree) if isinstance(node, ast.Attribute))
    for name in {*imports(module), *(_dotted(node, bound) for node in attributes)}:
        private = any(part.startswith("_") and not part.startswith("__") for part in name.split("."))
        if private and is_inside(name, "scrapy"):
            yield name


def _bound_by_imports(module: Module) -> dict[str, str]:
    """Local name -> the dotted name it stands for."""
    bound: dict[str, str] = {}
    for node in ast.walk(module.tree):
        match node:
            case ast.Import(names=names):
                tops = (alias.name.split(".")[0] for alias in names if not alias.asname)
                bound |= {top: top for top in tops}
                bound |= {alias.asname: alias.name for alias in names if alias.asname}
            case ast.ImportFrom(names=names):
                origin = _origin(node, module)
                bound |= {alias.asname or alias.name: f"{origin}.{alias.name}" for alias in names}
    return bound


def _dotted(node: ast.expr, bound: dict[str, str]) -> str:
    """`a.b._c` with the import behind `a` put in its place; empty when the chain begins elsewhere."""
    match node:
        case ast.Name(id=local):
            return bound.get(local, "")
        case ast.Attribute(value=value, attr=attr):
            before = _dotted(value, bound)
            return f"{before}.{attr}" if before else ""
        case _:
            return ""


def every_module_opens_with_its_law(module: Module) -> Iterator[str]:
    if not ast.get_docstring(module.tree):
        yield f"{module.name} has no opening docstring"


CODE_FROM_DATA = {"pickle", "marshal", "shelve", "dill", "os.system", "os.popen", "subprocess.getoutput"}
"""Modules and functions that make code, or a shell's words, of what somebody else may have written."""


def no_data_becomes_code(module: Module) -> Iterator[str]:
    """No pickle, no eval, no shell."""
    bound = _bound_by_imports(module)
    for node in ast.walk(module.tree):
        match node:
            case ast.Call(func=ast.Name(id="eval" | "exec" | "compile" as called)):
                yield f"{module.name} calls {called}()"
            case ast.Call(func=func, keywords=words):
                if (name := _dotted(func, bound)) in CODE_FROM_DATA:
                    yield f"{module.name} calls {name}()"
                if any(word.arg == "shell" and getattr(word.value, "value", True) for word in words):
                    yield f"{module.name} runs a shell"
    yield from (f"{module.name} imports {name}" for name in imports(module) if name.split(".")[0] in CODE_FROM_DATA)


RULES: list[Rule] = [
    no_data_becomes_code,
    every_room_is_known,
    pure_rooms_know_no_framework,
    pure_rooms_know_only_pure_rooms,
    adapters_never_import_each_other,
    optional_dependencies_stay_in_their_module,
    no_name_is_vague,
    modules_are_short,
    private_names_of_scrapy_are_left_alone,
    every_module_opens_with_its_law,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps_the_rule(rule: Rule) -> None:
    breaches = [breach for module in modules_of_the_crawler() for breach in rule(module)]
    assert breaches == []


def test_every_folder_with_code_is_a_package() -> None:
    """A folder without __init__.py would be left out of the egg, and of the rules on packages."""
    folders = {path.parent for path in CRAWLER.rglob("*.py")}
    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


BREACHES: dict[Rule, dict[str, str]] = {
    no_data_becomes_code: {
        "crawler.a": "import pickle",
        "crawler.b": "from marshal import loads",
        "crawler.c": "eval(text)",
        "crawler.d": "import os as o\no.system('x')",
        "crawler.e": "subprocess.run(words, shell=True)",
    },
    every_room_is_known: {"crawler.attic": ""},
    pure_rooms_know_no_framework: {
        "crawler.items": "import scrapy",
        "crawler.store.files": "from twisted.internet import defer",
        "crawler.pacing.rate": "def f():\n    import redis.asyncio",
        "crawler.values": "if TYPE_CHECKING:\n    from scrapy.http import Response",
        "crawler.secrets": "importlib.import_module('itemadapter')",
    },
    pure_rooms_know_only_pure_rooms: {
        "crawler.items": "from crawler import middlewares",
        "crawler.sources.csv": "from ..settings import BOT_NAME",
    },
    adapters_never_import_each_other: {
        "crawler.pipelines": "from crawler.spiders.apifetch import ApiFetchSpider",
        "crawler.middlewares": "from . import scheduler",
        "crawler.wire.curl": "from ..extensions import progress",
        "crawler.extensions.echo": "from crawler.demo import api",
        "crawler.demo.api": "import crawler.commands.plan",
    },
    optional_dependencies_stay_in_their_module: {
        "crawler.store.files": "import obstore as o",
        "crawler.wire.curly": "from pycurl import Curl",
    },
    no_name_is_vague: {"crawler.store.utils": "", "crawler.helpers.text": ""},
    modules_are_short: {"crawler.items": "x = 1\n" * 301},
    private_names_of_scrapy_are_left_alone: {
        "crawler.wire.a": "import scrapy.utils._deps as d",
        "crawler.wire.b": "from scrapy.http import _x",
        "crawler.wire.c": "import scrapy.core\nscrapy.core._run()",
        "crawler.wire.d": "from scrapy.core import engine as e\ne.Slot._x",
    },
    every_module_opens_with_its_law: {"crawler.items": "import json\n'Too late.'"},
}

LOOKALIKES: dict[Rule, dict[str, str]] = {
    no_data_becomes_code: {
        "crawler.a": "re.compile(x)\nself.eval(y)\nsubprocess.run(words, shell=False)\n'import pickle'",
    },
    every_room_is_known: {"crawler": ""},
    pure_rooms_know_no_framework: {
        "crawler.items": "import scrapyd, redistribute",
        "crawler.pipelines": "import scrapy",
    },
    pure_rooms_know_only_pure_rooms: {"crawler.store.ledger": "from crawler import items, __version__"},
    adapters_never_import_each_other: {
        "crawler.wire.curl": "from .decoding import decoded",
        "crawler.commands.demo": "from crawler.demo import api",
    },
    optional_dependencies_stay_in_their_module: {"crawler.wire.curl": "import pycurl"},
    no_name_is_vague: {"crawler.commons": ""},
    modules_are_short: {"crawler.items": "x = 1\n" * 300},
    private_names_of_scrapy_are_left_alone: {
        "crawler.wire.a": "import scrapy\nself._x\nscrapy.__version__\nos._exit(1)",
    },
    every_module_opens_with_its_law: {"crawler.items": "'Its law.'"},
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_breach_is_seen_and_what_only_looks_like_one_is_not(rule: Rule) -> None:
    for name, source in BREACHES[rule].items():
        assert len(list(rule(Module(name, source)))) == 1, name
    for name, source in LOOKALIKES[rule].items():
        assert list(rule(Module(name, source))) == [], name


def heavy_after(statements: str) -> list[str]:
    """Which of HEAVY a new interpreter has loaded after some statements."""
    program = f"import sys\n{statements}\nprint(*sorted(set(sys.modules) & {set(HEAVY)}))"
    run = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, stdout=subprocess.PIPE, check=True)
    return run.stdout.decode().split()


def test_importing_every_command_loads_nothing_heavy() -> None:
    commands = [module.name for module in modules_of_the_crawler() if module.room == "commands"]
    assert "crawler.commands.crawl" in commands
    assert heavy_after(f"import {', '.join(commands)}") == []
    assert heavy_after("import duckdb") == ["duckdb"]


def test_the_linter_knows_our_settings_and_no_others() -> None:
    """So that scrapy-lint sees a misspelt one."""
    tools = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    known = {name for name in tools["scrapy-lint"]["known-settings"] if name.startswith("APIFETCH_")}
    assert known == {row.setting for row in (*ARGUMENTS, *SETTINGS) if row.setting.startswith("APIFETCH_")}
