"""How a batch item is recognised: its id, and the scope of its idempotency key."""

import json

import pytest

from reve_cli.batch.identity import item_id, read_scope, scope_prefix, write_scope


@pytest.mark.parametrize("out", [None, "", "a.png", 'ü/"{seed}".{ext}'])
@pytest.mark.parametrize("run", ["r", "nightly, 2", 'x"]', "ü"])
def test_a_scope_is_read_as_it_was_written(run: str, out: str | None) -> None:
    assert read_scope(write_scope(run, out)) == (run, out, False)
    assert read_scope(write_scope(run, out, is_random=True)) == (run, out, True)
    assert write_scope(run, out).startswith(scope_prefix(run))


def test_the_prefix_of_a_run_fits_no_other_run() -> None:
    assert not write_scope("r2", None).startswith(scope_prefix("r"))
    assert not write_scope('r", "x', None).startswith(scope_prefix("r"))


@pytest.mark.parametrize(
    "scope",
    [None, "", "pipeline-7", "[", "[" * 100_000, "7", '["batch"]', '["batch", 1, null]', '["other", "r", null]'],
)
def test_the_scope_of_anything_else_is_not_a_batch_items(scope: str | None) -> None:
    assert read_scope(scope) is None


def test_the_form_of_scopes_and_ids_is_fixed_as_journals_and_manifests_contain_them() -> None:
    assert json.loads(write_scope("r", "a.png")) == ["batch", "r", "a.png"]
    assert write_scope("r", None) == '["batch", "r", null]'
    assert item_id("{}", None, 1) != item_id("{}", None, 2) != item_id("{}", "a", 2)
