"""The table of clients says what the tests cover."""

from __future__ import annotations

from tests.clients import table
from tests.clients.matrix import CELLS, CLIENTS, FEATURES


def test_the_table_is_current() -> None:
    """It has the clients, features, classes of errors, reasons and locked versions that there are."""
    assert table.TABLE.read_text() == table.markdown(table.due()), f"run `{table.COMMAND}`"


def test_a_cell_that_did_not_pass_is_not_called_good() -> None:
    """A run with a failure makes another table, so that it cannot be taken for this one."""
    assert "not tried" not in table.markdown(table.due())
    for client, feature in CELLS:
        assert table.markdown(table.due() - {(client.name, feature)}).count("not tried") == 1


def test_reasons_are_about_features() -> None:
    """What is lacking is a feature, and is lacking for a reason."""
    lacking = [(client.name, feature) for client in CLIENTS for feature in client.lacks]

    assert [cell for cell in lacking if cell[1] not in FEATURES] == []
    assert len({client.name for client in CLIENTS}) == len(CLIENTS)


def test_only_what_passed_is_read() -> None:
    """What failed, broke or was skipped in a run is no cell that passed."""
    report = """<testsuites><testsuite>
    <testcase name="test_stream[boto3-converse]" />
    <testcase name="test_stream[openai-chat]"><failure /></testcase>
    <testcase name="test_cut[openai-chat]"><skipped /></testcase>
    <testcase name="test_cut[boto3-converse]"><error /></testcase></testsuite></testsuites>"""

    assert table.read(report) == {("boto3-converse", "stream")}
