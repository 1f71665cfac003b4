"""`reve help json --schema`: every document that reve prints is valid, and no document of another form is."""

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from reve_cli.help.documents import DOCUMENTS, schema
from tests.conftest import Reve

_GOLDEN = (Path(__file__).parents[1] / "golden" / "documents.txt").read_text()
_NUMBERS = {'"<bytes>"': "70", '"<progress>"': "50"}
"""Numbers in place of the names that golden files have for them."""
VALID = Draft202012Validator(schema())


def _documents() -> dict[str, Any]:
    text = _GOLDEN
    for name, number in _NUMBERS.items():
        text = text.replace(name, number)
    titles, bodies = re.findall(r"^## (.*)$", text, re.MULTILINE), re.split(r"^## .*$", text, flags=re.MULTILINE)[1:]
    return dict(zip(titles, map(json.loads, bodies), strict=True))


DOCUMENTS_SEEN = _documents()


def test_it_is_a_json_schema_of_2020_12(reve: Reve) -> None:
    result = reve("help", "json", "--schema")
    assert (result.code, result.stderr) == (0, "")
    printed = json.loads(result.out)
    assert printed == schema()
    assert printed["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(printed)


@pytest.mark.parametrize("name", DOCUMENTS_SEEN)
def test_every_golden_document_is_valid(name: str) -> None:
    VALID.validate(DOCUMENTS_SEEN[name])


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_every_kind_of_document_is_in_the_golden_file_with_its_fields_in_order(kind: str) -> None:
    assert list(DOCUMENTS[kind].fields) in [list(document) for document in DOCUMENTS_SEEN.values()]


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value inside a document, except inside objects that the API or the user shapes."""
    if isinstance(value, dict) and path[-1:] not in [("body",), ("request",), ("details",), ("headers",), ("input",)]:
        for name, inner in value.items():
            yield (*path, name)
            yield from _places(inner, (*path, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield (*path, number)
            yield from _places(inner, (*path, number))


def _holder(document: Any, path: tuple[Any, ...]) -> Any:
    for part in path[:-1]:
        document = document[part]
    return document


@pytest.mark.parametrize("name", DOCUMENTS_SEEN)
def test_a_document_with_a_value_of_another_type_is_invalid(name: str) -> None:
    for path in _places(DOCUMENTS_SEEN[name]):
        document = copy.deepcopy(DOCUMENTS_SEEN[name])
        holder = _holder(document, path)
        holder[path[-1]] = 0 if isinstance(holder[path[-1]], dict | list) else [[0]]
        assert not VALID.is_valid(document), path


@pytest.mark.parametrize("name", DOCUMENTS_SEEN)
def test_a_document_without_a_key_or_with_another_key_is_invalid(name: str) -> None:
    paths = [path for path in _places(DOCUMENTS_SEEN[name]) if isinstance(path[-1], str)]
    assert paths
    for path in paths:
        document = copy.deepcopy(DOCUMENTS_SEEN[name])
        del _holder(document, path)[path[-1]]
        assert not VALID.is_valid(document), path
    assert not VALID.is_valid({**DOCUMENTS_SEEN[name], "surprise": None})
