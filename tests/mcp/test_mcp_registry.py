"""`server.json` for the MCP registry: its format, and that it is correct."""

import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from mcp_doors import COMMAND, PATIENCE

import marketdata
from marketdata.settings import Settings

ROOT = Path(__file__).parents[2]
SERVER = json.loads((ROOT / "server.json").read_text())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

_VERSION = {"type": "string", "pattern": r"^\d+\.\d+\.\d+$"}
_INPUT = {
    "description": {"type": "string", "minLength": 1},
    "format": {"enum": ["string", "number", "boolean", "filepath"]},
    "default": {"type": "string"},
    "placeholder": {"type": "string"},
    "value": {"type": "string"},
    "choices": {"type": "array", "items": {"type": "string"}},
    "isRequired": {"type": "boolean"},
    "isSecret": {"type": "boolean"},
}
RULES: dict[str, Any] = {
    # What the registry's revision 2025-12-11 and its publishing rules ask of a PyPI package.
    "type": "object",
    "required": ["$schema", "name", "description", "version", "packages"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"pattern": r"^https://\S+/schemas/2025-12-11/server\.schema\.json$"},
        "name": {"pattern": r"^[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+$", "maxLength": 200},
        "title": {"type": "string", "minLength": 1, "maxLength": 100},
        "description": {"type": "string", "minLength": 1, "maxLength": 100},
        "version": _VERSION,
        "packages": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["registryType", "identifier", "version", "transport"],
                "additionalProperties": False,
                "properties": {
                    "registryType": {"const": "pypi"},
                    "identifier": {"type": "string", "minLength": 1},
                    "version": _VERSION,
                    "runtimeHint": {"const": "uvx"},
                    "transport": {
                        "type": "object",
                        "required": ["type"],
                        "additionalProperties": False,
                        "properties": {"type": {"const": "stdio"}},
                    },
                    "packageArguments": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["type"],
                            "oneOf": [
                                {"properties": {"type": {"const": "named"}}, "required": ["name"]},
                                {
                                    "properties": {"type": {"const": "positional"}},
                                    "required": ["value"],
                                },
                            ],
                            "additionalProperties": False,
                            "properties": {
                                "type": {"enum": ["named", "positional"]},
                                "name": {"pattern": "^--[a-z-]+$"},
                                **_INPUT,
                            },
                        },
                    },
                    "environmentVariables": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["name", "description"],
                            "additionalProperties": False,
                            "properties": {"name": {"pattern": "^[A-Z_]+$"}, **_INPUT},
                        },
                    },
                },
            },
        },
    },
}
[PACKAGE] = SERVER["packages"]


def test_the_entry_matches_the_schema_of_the_registry() -> None:
    jsonschema.Draft7Validator.check_schema(RULES)
    jsonschema.validate(SERVER, RULES)


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        ("name", "no slash"),
        ("name", "a/b/c"),
        ("description", "x" * 101),
        ("version", "^0.1.0"),
        ("version", "latest"),
        ("status", "active"),
    ],
)
def test_the_schema_check_finds_errors(place: str, wrong: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**SERVER, place: wrong}, RULES)


def test_versions_and_names_are_the_packages() -> None:
    assert SERVER["version"] == PACKAGE["version"] == marketdata.__version__
    assert PACKAGE["identifier"] == PROJECT["name"]


def test_uvx_finds_the_server_by_the_packages_name() -> None:
    # uvx runs the script of the package's own name, with the arguments that are listed.
    assert PROJECT["scripts"].get(PACKAGE["identifier"]) == PROJECT["scripts"]["marketdata"]
    first = PACKAGE["packageArguments"][0]
    assert (first["type"], first["value"]) == ("positional", "mcp")
    done = subprocess.run(
        [Path(COMMAND).with_name(PACKAGE["identifier"]), first["value"], "--version"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert done.stdout == f"marketdata-mcp {marketdata.__version__}\n"


def test_the_package_names_this_server() -> None:
    # The registry looks for it in the description that PyPI shows.
    readme = (ROOT / "README.md").read_text()
    assert f"mcp-name: {SERVER['name']}" in readme


def test_the_image_names_this_server() -> None:
    label = f'io.modelcontextprotocol.server.name="{SERVER["name"]}"'
    assert label in (ROOT / "deploy" / "Dockerfile").read_text()


def test_its_numbers_are_those_of_the_readme() -> None:
    [number] = re.findall(r"(\d+) exchanges", SERVER["description"])
    assert int(number) == len(marketdata.exchanges())
    assert f"the {number} spot exchanges of [ccxt]" in (ROOT / "README.md").read_text()


def test_arguments_and_variables_exist() -> None:
    done = subprocess.run(
        [COMMAND, "--help"], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    options = set(re.findall(r"--[a-z-]+", done.stdout))
    named = [one for one in PACKAGE["packageArguments"] if one["type"] == "named"]
    assert {one["name"] for one in named} <= options
    known = {f"MARKETDATA_{name.upper()}": name for name in Settings.model_fields}
    for variable in PACKAGE["environmentVariables"]:
        assert variable["name"] in known
        if "default" in variable:
            read = Settings.from_environment({variable["name"]: variable["default"]})
            assert read == Settings()
