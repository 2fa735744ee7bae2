"""`crawler.fetch` in a real notebook's kernel: the bar below the cell, its log, and the stop button."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness import ApiServer

nbclient = pytest.importorskip("nbclient", reason="needs nbclient and ipykernel: pip install nbclient ipykernel")
pytest.importorskip("ipykernel", reason="needs nbclient and ipykernel: pip install nbclient ipykernel")
nbformat: Any = pytest.importorskip("nbformat")

pytestmark = [
    pytest.mark.check,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of the libraries of notebooks, not ours
]

FETCH = """
import crawler
try:
    crawler.fetch({urls!r}, out={out!r}, workers=2, settings={{"APIFETCH_DRAIN_S": 0}})
except KeyboardInterrupt:
    print("stopped")
"""
AGAIN = "print(crawler.fetch({urls!r}, out={out!r}, workers=2, progress=True, quiet=True).ok)"


def test_the_bar_below_a_cell_and_the_stop_button(api: ApiServer, tmp_path: Path) -> None:
    items = [api.url(f"/items/{n}") for n in range(20)]
    hanging = [api.url(f"/slow/{n}?delay_ms=60000") for n in range(4)]
    out = str(tmp_path / "out")
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell(FETCH.format(urls=items + hanging, out=out)),
            nbformat.v4.new_code_cell(AGAIN.format(urls=items, out=str(tmp_path / "again"))),
        ]
    )
    shown: list[str] = []

    class Client(nbclient.NotebookClient):  # type: ignore[misc, name-defined]
        def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
            if msg["msg_type"] in {"display_data", "update_display_data"}:
                shown.append(msg["content"]["data"]["text/plain"])
                if "20 ok · 0 failed · 4 left of 24" in shown[-1] and "2 of 2 workers" in shown[-1] and not stopping:
                    stopping.append(threading.Thread(target=press_stop))
                    stopping[0].start()
            return super().process_message(msg, cell, cell_index)

    stopping: list[threading.Thread] = []
    client = Client(notebook, timeout=240, kernel_name="python3", interrupt_on_timeout=True)

    def press_stop() -> None:
        client.km.provisioner.process.send_signal(2)  # what the stop button sends to a kernel

    client.execute()
    stopping[0].join()
    first, second = ("".join(text_of(output) for output in cell.outputs) for cell in notebook.cells)
    assert "stopped" in first
    assert "20 ok + 0 failed" in first, "the log is below the cell"
    assert sum("% ok" in text_of(output) for output in notebook.cells[0].outputs) == 1, "one bar, replaced"
    assert "100 % ok" in second
    assert "INFO" not in second
    assert second.endswith("20\n")


def text_of(output: Any) -> str:
    return str(output.get("text") or output.get("data", {}).get("text/plain", ""))
