"""Every JSON document that reve prints or writes: its fields in their order, with their types and meanings.

The tables of the topic `json` and `reve help json --schema` come from here. Tests compare it with the documents.

May import: doctor.findings, engine, journal.states, serving.signatures, settings, core.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, get_args

from reve_cli import __version__
from reve_cli.core.contract import WEBHOOK_EVENTS
from reve_cli.core.errors import EXIT_CODES
from reve_cli.doctor.findings import Status
from reve_cli.engine.unfinished import Action
from reve_cli.journal.states import CLOSED, OPEN
from reve_cli.serving.signatures import Derivation
from reve_cli.settings.config import Source

Schema = dict[str, Any]
"""A JSON Schema, or a part of one."""

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
YES_OR_NO: Schema = {"type": "boolean"}
OBJECT: Schema = {"type": "object"}


def _one_of(values: Sequence[Any]) -> Schema:
    return {"enum": list(values)}


def _list_of(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _or_null(schema: Schema) -> Schema:
    if set(schema) == {"type"}:
        return {"type": [schema["type"], "null"]}
    return {"enum": [*schema["enum"], None]} if "enum" in schema else {"anyOf": [schema, {"type": "null"}]}


TEXT_, WHOLE_, NUMBER_, YES_OR_NO_ = map(_or_null, (TEXT, WHOLE, NUMBER, YES_OR_NO))
"""The same, or null."""


class Field(NamedTuple):
    """The value and the meaning of a field. Meanings are needed in tables that show them."""

    type: Schema
    about: str = ""


Fields = Mapping[str, Field]

FILE_FIELDS: Fields = {
    "path": Field(TEXT),
    "url": Field(TEXT),
    "bytes": Field(WHOLE),
    "sha256": Field(TEXT),
    "downloadedSha256": Field(TEXT_),
    "mediaType": Field(TEXT),
}
"""Fields of a saved image."""

JOB_FIELDS: Fields = {
    "jobId": Field(TEXT_, "the job's id; null until the API accepts the job"),
    "status": Field(TEXT_, "QUEUED, PROCESSING, COMPLETED, FAILED, CANCELLED, or another word from the API"),
    "progress": Field(NUMBER_, "progress in percent, as the API reports it"),
    "model": Field(TEXT_, "the model"),
    "prompt": Field(TEXT_, "the requested prompt"),
    "seed": Field(WHOLE_, "the requested seed"),
    "aspectRatio": Field(TEXT_, "the requested aspect ratio"),
    "version": Field(TEXT_, "the requested model version"),
    "urls": Field(_list_of(TEXT), "addresses of the images, valid for a day"),
    "files": Field(_list_of(_ref("file")), f"saved images: {', '.join(FILE_FIELDS)} of each"),
    "creditCost": Field(NUMBER_, "credits charged; 0 for a failed job, null if not yet known"),
    "createdAt": Field(TEXT_, "time at which the API made the job"),
    "completedAt": Field(TEXT_, "time at which the job ended"),
    "expired": Field(YES_OR_NO_, "whether the API has deleted the images"),
    "idempotencyKey": Field(TEXT_, "idempotency key of the request"),
    "adopted": Field(YES_OR_NO, "whether an earlier command began the job and this one continued it"),
    "replayed": Field(YES_OR_NO_, "whether the API answered the idempotency key with an older job"),
    "simulated": Field(YES_OR_NO, "whether the sandbox made the job"),
    "input": Field(_or_null(OBJECT), "the other columns of a batch item's row in its file, else null"),
    "error": Field(_or_null(_ref("error")), "null, or an object"),
}
"""Fields of a job's document."""

ERROR_FIELDS: Fields = {
    "code": Field(_one_of(list(EXIT_CODES)), "error code: see reve help exit-codes"),
    "message": Field(TEXT, "one line for people"),
    "exitCode": Field(_one_of(sorted(set(EXIT_CODES.values()))), "exit code of this error alone"),
    "hint": Field(TEXT_, "what to do next; for exit code 75, the command that finishes the job"),
    "requestId": Field(TEXT_, "the API's id of the request, if it sent one"),
    "details": Field(_or_null(OBJECT), "more from the API, if it sent more"),
}
"""Fields of an error."""

_ACCOUNT: Fields = {
    "email": Field(TEXT_),
    "role": Field(TEXT_),
    "team": Field(TEXT_),
    "plan": Field(TEXT_),
    "credits": Field(NUMBER_),
}
_SETTING = Field({"type": ["string", "number", "boolean", "null"]})


@dataclass(frozen=True)
class Document:
    """A kind of document. commands: the commands that print it, or the file that contains it."""

    commands: str
    fields: Fields


DOCUMENTS: Mapping[str, Document] = {
    "job": Document(
        "generate, batch, wait, download, resume, status, jobs; and every command that fails before it has a job",
        JOB_FIELDS,
    ),
    "account": Document(
        "account", {**_ACCOUNT, "keyName": Field(TEXT_), "keyPrefix": Field(TEXT_), "simulated": Field(YES_OR_NO)}
    ),
    "model": Document(
        "model",
        {
            "model": Field(TEXT),
            "offered": Field(YES_OR_NO_, "null if the API does not say"),
            "label": Field(TEXT_),
            "description": Field(TEXT_),
            "pricingMode": Field(TEXT_),
            "costMin": Field(NUMBER_, "credits per image"),
            "costMax": Field(NUMBER_, "credits per image"),
            "promptLimit": Field(WHOLE, "UTF-16 units"),
            "aspectRatios": Field(_list_of(TEXT)),
            "seedMin": Field(WHOLE),
            "seedMax": Field(WHOLE),
            "versions": Field({"type": ["array", "null"], "items": TEXT}, "null: any text"),
            "simulated": Field(YES_OR_NO),
            "error": JOB_FIELDS["error"]._replace(about=""),
        },
    ),
    "key": Document(
        "auth login, auth status",
        {
            "source": Field(TEXT),
            "prefix": Field(TEXT),
            "keyName": Field(TEXT_),
            "baseUrl": Field(TEXT),
            **_ACCOUNT,
            "simulated": Field(YES_OR_NO),
        },
    ),
    "logout": Document("auth logout", {"removed": Field(_list_of(TEXT), "places that the key was removed from")}),
    "setting": Document(
        "config list, config get, config set, config unset",
        {
            "name": Field(TEXT),
            "value": _SETTING,
            "source": Field(_or_null(_one_of(get_args(Source))), ", ".join(get_args(Source))),
            "where": Field(TEXT_, "variable or file"),
            "default": _SETTING,
        },
    ),
    "settingsFiles": Document(
        "config path", {"user": Field(TEXT_), "project": Field(TEXT_, "both: null if there is none")}
    ),
    "finding": Document(
        "doctor",
        {
            "check": Field(TEXT),
            "status": Field(_one_of(get_args(Status)), ", ".join(get_args(Status))),
            "finding": Field(TEXT),
            "remedy": Field(TEXT_),
            "details": Field(_or_null(OBJECT)),
        },
    ),
    "request": Document(
        "generate --dry-run",
        {
            "method": Field(_one_of(["POST"])),
            "url": Field(TEXT),
            "headers": Field({"type": "object", "additionalProperties": TEXT}),
            "body": Field(OBJECT),
            "out": Field(TEXT_),
        },
    ),
    "entry": Document(
        "history, history show",
        {
            "run": Field(TEXT),
            "number": Field(WHOLE),
            "attempt": Field(WHOLE),
            "state": Field(_one_of([*OPEN, *CLOSED])),
            "begunAt": Field(TEXT),
            "jobId": Field(TEXT_),
            "idempotencyKey": Field(TEXT),
            "model": Field(TEXT),
            **{name: Field(JOB_FIELDS[name].type) for name in ("prompt", "seed", "aspectRatio", "version")},
            "out": Field(TEXT_),
            **{name: Field(JOB_FIELDS[name].type) for name in ("files", "creditCost", "createdAt", "completedAt")},
            "hoursLeft": Field(NUMBER_),
            "tries": Field(WHOLE),
            "origin": Field(TEXT),
            "account": Field(TEXT_),
            "error": Field(_or_null(_ref("entryError")), "code and message"),
        },
    ),
    "image": Document(
        "show",
        {
            "path": Field(TEXT_),
            "bytes": Field(WHOLE_),
            "sha256": Field(TEXT_),
            "mediaType": Field(TEXT_),
            "unchanged": Field(YES_OR_NO_, "whether the file is as reve saved it; null if unknown"),
            **{name: Field(JOB_FIELDS[name].type) for name in ("prompt", "seed", "aspectRatio", "version", "model")},
            "jobId": Field(TEXT_),
            "state": Field(_or_null(_one_of([*OPEN, *CLOSED])), "in the journal"),
            **{name: Field(JOB_FIELDS[name].type) for name in ("creditCost", "createdAt", "completedAt")},
            "hoursLeft": Field(NUMBER_, "until the API deletes the image"),
            "simulated": Field(YES_OR_NO),
            "tool": Field(TEXT_, "the program that wrote the record in the file"),
            "others": Field(
                {"type": "object", "additionalProperties": TEXT}, "other values in the record of another tool"
            ),
        },
    ),
    "gallery": Document(
        "gallery",
        {"page": Field(TEXT, "path of the page"), "images": Field(WHOLE), "thumbnails": Field(WHOLE)},
    ),
    "step": Document(
        "resume --dry-run",
        {
            "action": Field(_one_of(get_args(Action))),
            "why": Field(TEXT_),
            "state": Field(_one_of([*OPEN, *CLOSED])),
            "run": Field(TEXT),
            "jobId": Field(TEXT_),
            "idempotencyKey": Field(TEXT),
            "begunAt": Field(TEXT),
            "out": Field(TEXT_),
            "prompt": Field(TEXT_),
        },
    ),
    "webhookEvent": Document(
        "webhook listen",
        {
            "event": Field(TEXT, f"{', '.join(WEBHOOK_EVENTS)}, or another word from the API"),
            "jobId": Field(TEXT),
            "status": Field(TEXT_),
            "progress": Field(NUMBER_),
            "receivedAt": Field(TEXT_, "null if no event came for the job"),
            "duplicate": Field(YES_OR_NO, "whether the event came before"),
            "verifiedAs": Field(_or_null(_one_of(get_args(Derivation))), "form of the secret: bytes or hex text"),
            "files": Field(_list_of(_ref("file"))),
            "forwarded": Field(_or_null(_ref("forwarded")), "HTTP status of the last answer, and number of tries"),
            "error": Field(_or_null(_ref("error"))),
        },
    ),
    "verification": Document(
        "webhook verify",
        {
            "valid": Field(YES_OR_NO),
            "verifiedAs": Field(_or_null(_one_of(get_args(Derivation)))),
            "error": Field(_or_null(_ref("error"))),
        },
    ),
    "webhookAnswer": Document(
        "webhook send",
        {
            "event": Field(TEXT),
            "jobId": Field(TEXT),
            "answer": Field(WHOLE_, "HTTP status of the answer"),
            "error": Field(_or_null(_ref("error"))),
        },
    ),
    "manifestImage": Document(
        "manifest.jsonl",
        {
            "run": Field(TEXT),
            "item": Field(TEXT, "identity of the image"),
            "line": Field(WHOLE_),
            "ordinal": Field(WHOLE_, "number among identical lines"),
            "attempt": Field(WHOLE),
            "request": Field(OBJECT, "the exact body"),
            "out": Field(TEXT_),
            **JOB_FIELDS,
        },
    ),
    "manifestRun": Document(
        "manifest.jsonl",
        {
            "run": Field(TEXT),
            "item": Field({"type": "null"}),
            "begunAt": Field(TEXT_),
            "folder": Field(TEXT),
            "instead": Field(_list_of(TEXT), "runs that --new gave up"),
        },
    ),
}
"""Every kind of document, by its name in the schema."""

_PARTS: Mapping[str, Fields] = {
    "file": FILE_FIELDS,
    "error": ERROR_FIELDS,
    "forwarded": {"status": Field(WHOLE_), "tries": Field(WHOLE)},
    "entryError": {name: ERROR_FIELDS[name] for name in ("code", "message")},
}
"""Objects inside documents."""


def schema() -> Schema:
    """The JSON Schema (2020-12) of one line of `--json` or of a manifest. It allows only the fields of this version."""
    kinds = {
        name: {"description": f"Printed by: {document.commands}", **_object(document.fields)}
        for name, document in DOCUMENTS.items()
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"A line of JSON from reve {__version__}",
        "anyOf": [_ref(name) for name in kinds],
        "$defs": kinds | {name: _object(fields) for name, fields in _PARTS.items()},
    }


def _object(fields: Fields) -> Schema:
    properties = {
        name: {"description": field.about, **field.type} if field.about else field.type
        for name, field in fields.items()
    }
    return {"type": "object", "properties": properties, "required": list(fields), "additionalProperties": False}
