"""The command as a user runs it: what it prints where, and its exit code."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import pytest

from busbridge.cli import main
from busbridge.routing import load
from busbridge.store import _engine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SHOP = """\
from busbridge import Context, Contract, Service

class OrderCreated(Contract, name="shop.order-created", version=1):
    order_id: str

class StockReserved(Contract, name="shop.stock-reserved", version=1):
    order_id: str

inventory = Service("inventory", publishes=[StockReserved])
stock = inventory.subscription("reserve-stock")
billing = Service("billing")

@stock.handles(OrderCreated)
async def reserve_stock(order: OrderCreated, context: Context[None]) -> None: ...
"""
CONFIG = """\
transports:
  broker: {url: "memory://"}
destinations:
  order-events: {kind: topic, transport: broker}
routes:
  shop.order-created: {to: order-events}
  shop.stock-reserved: {to: order-events}
services:
  billing:
  inventory:
    subscriptions:
      reserve-stock: {from: order-events, match: shop.order-created}
"""


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


Command: TypeAlias = "Callable[..., Done]"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a module `shop` and a configuration that fits it."""
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "busbridge.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return tmp_path


@pytest.fixture
def busbridge(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command in this process, as if in a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*arguments: str) -> Done:
        sys.modules.pop("shop", None)
        monkeypatch.setattr(sys, "argv", ["busbridge", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return Done(int(ended.value.code or 0), *capsys.readouterr())

    return run


def test_check_says_that_all_is_fine(busbridge: Command) -> None:
    done = busbridge("check", "shop:inventory", "shop:billing")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "fine: Config: 1 transport, 1 destination, 2 routes, 2 services\n"


def test_check_tells_faults_in_words_and_exits_with_1(folder: Path, busbridge: Command) -> None:
    (folder / "busbridge.yaml").write_text(CONFIG.replace("kind: topic", "kind: topc"))
    done = busbridge("check")
    assert (done.returncode, done.stdout) == (1, "")
    assert "busbridge.yaml:4: destinations.order-events.kind: found 'topc'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("targets", [(), ("shop:billing",)])
def test_check_tells_of_a_store_whose_driver_is_not_installed(
    folder: Path, busbridge: Command, monkeypatch: pytest.MonkeyPatch, targets: tuple[str, ...]
) -> None:
    store = "billing: {store: {url: postgresql://me:secret@localhost/shop}}"
    (folder / "busbridge.yaml").write_text(CONFIG.replace("billing:", store))
    monkeypatch.setattr(_engine, "find_spec", lambda _: "there")
    assert busbridge("check", *targets).returncode == 0
    monkeypatch.setattr(_engine, "find_spec", lambda _: None)
    done = busbridge("check", *targets)
    assert (done.returncode, done.stdout) == (1, "")
    assert "busbridge.yaml:9: services.billing.store.url: no database driver is installed for pos" in done.stderr
    assert "(install it: pip install 'busbridge[postgresql]')" in done.stderr


def test_check_prints_missing_lines_that_load_when_pasted(folder: Path, busbridge: Command) -> None:
    bare = CONFIG.partition("routes:")[0]
    (folder / "busbridge.yaml").write_text(bare)
    done = busbridge("check", "shop:inventory")
    assert done.returncode == 1
    assert "'reserve-stock'" in done.stderr
    (folder / "busbridge.yaml").write_text(bare + done.stdout.replace("DESTINATION", "order-events"))
    assert busbridge("check", "shop:inventory").returncode == 0


def test_show_lists_the_way_to_each_handler_in_80_columns(busbridge: Command) -> None:
    done = busbridge("show", "shop:inventory")
    assert done.returncode == 0
    assert max(map(len, done.stdout.splitlines())) <= 80
    cells = [line.split() for line in done.stdout.splitlines()]
    assert ["shop.order-created", "order-events", "inventory", "reserve_stock"] in cells
    assert ["topic", "on", "broker", "reserve-stock", "shop.py:13"] in cells
    assert ["shop.stock-reserved", "order-events", "-", "-"] in cells


def test_show_lists_how_long_attempts_wait_at_the_broker(busbridge: Command, folder: Path) -> None:
    retry = "match: shop.order-created, retry: {attempts: 8, first: 500ms}}"
    (folder / "busbridge.yaml").write_text(CONFIG.replace("match: shop.order-created}", retry))
    done = busbridge("show", "shop:inventory")
    assert "again after" in done.stdout
    assert "500ms" in done.stdout


def test_a_handler_that_no_route_leads_to_is_shown_and_warned_of(folder: Path, busbridge: Command) -> None:
    (folder / "busbridge.yaml").write_text(CONFIG.replace("  shop.order-created: {to: order-events}\n", ""))
    done = busbridge("show", "shop:inventory")
    cells = [line.split() for line in done.stdout.splitlines()]
    assert ["shop.order-created", "order-events", "inventory", "reserve_stock"] in cells
    assert ["(no", "route", "leads", "here)", "reserve-stock", "shop.py:13"] in cells
    done = busbridge("check", "shop:inventory")
    assert (done.returncode, done.stdout[:5]) == (0, "fine:")
    told = "warning: no route brings shop.order-created to inventory.reserve-stock"
    assert done.stderr == f"{told}: only what other producers write there\n"


def test_what_is_published_with_the_headers_of_a_subscription_gets_there(folder: Path, busbridge: Command) -> None:
    (folder / "busbridge.yaml").write_text(CONFIG.replace("match: shop.order-created", "headers: {region: eu}"))
    done = busbridge("check", "shop:inventory")
    assert "only what other producers write there, or what is published with its headers" in done.stderr
    assert done.returncode == 0


def test_show_without_services_lists_every_route(busbridge: Command) -> None:
    done = busbridge("show")
    assert "shop.order-created" in done.stdout
    assert "reserve-stock" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("check", "shop:inventry"), "shop:billing, shop:inventory"),
        (("check", "shop"), "shop:billing, shop:inventory"),
        (("check", "shp:inventory"), "there is no module 'shp'"),
        (("check", "shop.py:inventory"), "there is no module 'shop.py'"),
        (("check", "../shop:inventory"), "is not MODULE:SERVICE"),
        (("check", "json:loads"), "json has none"),
        (("run",), "Missing argument"),
        (("walk",), "No such command"),
    ],
)
def test_wrong_usage_says_what_is_there_and_exits_with_2(
    busbridge: Command, arguments: tuple[str, ...], words: str
) -> None:
    done = busbridge(*arguments)
    assert done.returncode == 2
    assert words in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_without_a_file_the_command_says_so(folder: Path, busbridge: Command) -> None:
    (folder / "busbridge.yaml").unlink()
    done = busbridge("check")
    assert done.returncode == 2
    assert "there is no busbridge.yaml" in done.stderr


def test_an_error_of_the_users_own_module_is_told_with_its_place(folder: Path, busbridge: Command) -> None:
    (folder / "shop.py").write_text("import nowhere_to_be_found")
    done = busbridge("check", "shop:inventory")
    assert done.returncode == 2
    assert "No module named 'nowhere_to_be_found'" in done.stderr
    assert 'shop.py", line 1' in done.stderr


def test_a_wrong_declaration_in_the_users_module_is_told_in_words(folder: Path, busbridge: Command) -> None:
    (folder / "shop.py").write_text(SHOP.replace("version=1", "versoin=1", 1))
    done = busbridge("check", "shop:inventory")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "versoin" in done.stderr


def test_layers_are_given_one_by_one(folder: Path, busbridge: Command) -> None:
    (folder / "over.yaml").write_text("stop: {grace: never}")
    done = busbridge("check", "-c", "busbridge.yaml", "-c", "over.yaml")
    assert "over.yaml:1: stop.grace" in done.stderr


def test_schema_and_version_are_printed(busbridge: Command) -> None:
    assert "properties" in json.loads(busbridge("schema").stdout)
    assert busbridge("version").stdout.strip()[0].isdigit()
    assert busbridge("--version") == busbridge("version")


@pytest.mark.parametrize("argument", ["--help", "version"])
def test_help_and_version_import_nothing_of_ours_that_takes_time(argument: str) -> None:
    code = "import atexit, sys; atexit.register(lambda: print(*sys.modules)); from busbridge.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, argument], stdout=subprocess.PIPE, text=True, check=True)
    assert {"asyncio", "yaml", "rich.table", "busbridge.contract", "busbridge.runtime"}.isdisjoint(done.stdout.split())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_in_memory_needs_no_file_shows_the_one_it_made_up_and_stops_on_a_signal(
    folder: Path, number: signal.Signals
) -> None:
    (folder / "busbridge.yaml").unlink()
    command = [
        sys.executable,
        "-c",
        "from busbridge.cli import main; main()",
        "run",
        "--memory",
        "shop:inventory",
        "shop:billing",
    ]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stderr:
            if "serving: inventory, billing" in line:
                break
        process.send_signal(number)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    (folder / "made-up.yaml").write_text(out)
    assert set(load(folder / "made-up.yaml", environ={}).services) == {"inventory", "billing"}


def test_run_refuses_services_that_do_not_fit_all_in_one_message(folder: Path, busbridge: Command) -> None:
    (folder / "busbridge.yaml").write_text(
        textwrap.dedent(CONFIG.partition("routes:")[0])
        + "services: {billing: {subscriptions: {x: {from: order-events}}}}"
    )
    done = busbridge("run", "shop:inventory", "shop:billing")
    assert done.returncode == 1
    assert "shop.stock-reserved" in done.stderr
    assert "'reserve-stock'" in done.stderr
    assert "'x'" in done.stderr


@pytest.mark.parametrize("command", ["check", "run"])
def test_faults_of_the_file_and_of_the_services_come_in_one_message(
    folder: Path, busbridge: Command, command: str
) -> None:
    wrong = CONFIG.replace("kind: topic", "kind: topc").replace("  shop.stock-reserved: {to: order-events}\n", "")
    (folder / "busbridge.yaml").write_text(wrong.replace("reserve-stock:", "reserve-stok:"))
    done = busbridge(command, "shop:inventory", "shop:billing")
    assert done.returncode == 1
    first, *faults = done.stderr.splitlines()
    assert first == "4 faults in the configuration:"
    assert [each.partition(": ")[0] for each in map(str.strip, faults)] == [
        f"busbridge.yaml:{line}" for line in (4, 5, 10, 11)
    ]


def test_check_offers_no_lines_for_what_has_a_fault_and_is_there(folder: Path, busbridge: Command) -> None:
    (folder / "busbridge.yaml").write_text(CONFIG.replace("{to: order-events}", "{to: Order}", 1))
    done = busbridge("check", "shop:inventory")
    assert (done.returncode, done.stdout) == (1, "")


def test_contracts_writes_the_catalog_and_keeps_older_versions(folder: Path, busbridge: Command) -> None:
    older = folder / "contracts" / "shop.order-created" / "0.json"
    older.parent.mkdir(parents=True)
    older.write_text("{}")
    done = busbridge("contracts", "shop:inventory")
    written = ["contracts/shop.stock-reserved/1.json", "contracts/shop.order-created/1.json"]
    assert (done.returncode, done.stdout.split()) == (0, written)
    assert json.loads((folder / written[0]).read_text())["$id"] == "busbridge:contracts/shop.stock-reserved/1"
    assert older.exists()
    assert busbridge("contracts", "shop:inventory").stdout == "", "nothing has changed"


def test_contracts_tells_of_a_version_that_changed(folder: Path, busbridge: Command) -> None:
    busbridge("contracts", "shop:inventory")
    (folder / "shop.py").write_text(SHOP.replace("order_id: str", "order_id: int", 1))
    done = busbridge("contracts", "shop:inventory")
    assert (done.returncode, done.stdout) == (0, "contracts/shop.order-created/1.json\n")
    assert done.stderr == "changed: shop.order-created/1\n"


def test_contracts_says_in_a_line_that_the_catalog_can_not_be_written(folder: Path, busbridge: Command) -> None:
    (folder / "catalog").write_text("a file")
    done = busbridge("contracts", "shop:inventory", "-o", "catalog")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "the catalog can't be written: catalog/shop.stock-reserved: Not a directory\n"
