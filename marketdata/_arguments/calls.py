"""The arguments of agents' calls: parsed leniently, limited, and reported back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from marketdata._arguments.bounds import bounded, check_size
from marketdata._arguments.checking import check_names, descriptions, locate, with_named_exchange
from marketdata._arguments.names import renamed
from marketdata._arguments.saying import was
from marketdata._arguments.times import said_back
from marketdata.errors import InvalidParameterError, InvalidRequestError, MarketDataError

if TYPE_CHECKING:
    from pydantic import BaseModel

_OF_TYPE = ("type", "enum", "items", "maximum", "maxItems")
_UNSAID = ("title", "description", "examples", "exclusiveMinimum", "minimum", "minItems")


class Reader:
    """Parses the calls of one tool."""

    def __init__(
        self,
        tool: str,
        model: type[BaseModel],
        schema: Mapping[str, Any],
        hidden: Sequence[str] = (),
        alternatives: Sequence[str] = (),
    ) -> None:
        """Parse the arguments of a model that a JSON Schema describes completely.

        ``hidden`` are names that errors do not suggest. Exactly one of ``alternatives`` is given: a
        0 for the other means not given.
        """
        self._tool = tool
        self._model = model
        self._schema = schema
        self._properties = properties = schema["properties"]
        self._hidden = hidden
        self._alternatives = alternatives
        self._items = _of_each(properties, "maxItems")
        self._most = _of_each(properties, "maximum")

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the arguments in the form that all clients can convert.

        An optional argument may be null, because converters to strict schemas require every
        argument. An argument has one type and at most null; a time is text. Other rules, such as an
        amount above 0, at least one row or a known name, are only in error messages: several hosts
        accept no schema with them.
        """
        required = self._schema.get("required", [])
        said = descriptions(self._model)
        properties = {
            name: _argument(
                one, said[name].short or said[name].text, is_optional=name not in required
            )
            for name, one in self._properties.items()
        }
        return {
            "type": "object",
            "properties": properties,
            **({"required": required} if required else {}),
        }

    def read(self, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
        """Parse arguments, and return them with the notes for the answer.

        The notes are the bounds that replaced larger numbers, as ``note``, and the parsed times.
        Null means not given, and so does an empty text or list for an optional argument. Synonyms
        of arguments are accepted if they are unambiguous.

        Raises `MissingParameterError` before `InvalidParameterError`.
        """
        from pydantic import ValidationError

        try:
            check_size(self._tool, given, self._items)
            taken = {name: one for name, one in given.items() if one is not None}
            named = check_names(
                self._model, renamed(taken, self._properties), self._tool, self._hidden
            )
            for name in self._alternatives:
                if named.get(name) == 0 and any(named.get(one) for one in self._alternatives):
                    del named[name]
            named, note = bounded(named, self._most)
            checked = vars(self._model.model_validate(named, strict=True))
            said = {"note": note} if note else {}
            for name in checked.keys() & {"start", "end"} & named.keys():
                said |= {name: one} if (one := said_back(named[name], checked[name])) else {}
            return with_named_exchange(self._model, checked), said
        except ValidationError as error:
            problems = error.errors(include_url=False, include_context=False, include_input=False)
            name = str(problems[0]["loc"][0])
            wrong = InvalidParameterError(
                f"{name} is {_expected(self._properties[name])}; {was(named[name])}.",
                details={"parameter": name},
            )
            raise self.located(wrong, given) from None
        except InvalidRequestError as error:
            raise self.located(error, given) from None

    def located(self, error: MarketDataError, given: Mapping[str, Any]) -> MarketDataError:
        """Make an error name the tool and its argument instead of the library's."""
        locate(error, self._model.model_fields, given, tool=self._tool)
        return error


def _of_each(properties: Mapping[str, Any], bound: str) -> dict[str, int]:
    return {name: one[bound] for name, one in properties.items() if bound in one}


def _argument(schema: dict[str, Any], description: str, *, is_optional: bool) -> dict[str, Any]:
    kind = schema["type"] if isinstance(schema["type"], str) else "string"
    said = {key: value for key, value in schema.items() if key not in _UNSAID}
    if said.get("default") is False:
        del said["default"]
    if "items" in said:
        said["items"] = {
            key: value for key, value in said["items"].items() if key in ("type", "enum")
        }
    said["type"] = kind
    if is_optional:
        # Not a list of types, which Anthropic's converter does not accept.
        typed = {key: said.pop(key) for key in _OF_TYPE if key in said}
        said["anyOf"] = [typed, {"type": "null"}]
    return {**said, "description": description}


def _expected(schema: Mapping[str, Any]) -> str:
    """Describe the accepted values of an argument in a few words that end a sentence."""
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    match schema["type"]:
        case "integer" | "number" as kind:
            number = "a whole number" if kind == "integer" else "a number"
            return number + _bounds(schema)
        case "boolean":
            return "true or false"
        case "array":
            least, most = schema.get("minItems", 0), schema.get("maxItems")
            many = f"{least} to {most} " if most is not None else ""
            return f"a list of {many}texts"
        case "string":
            return "text"
        case _:
            return "a time: ISO-8601 text, Unix milliseconds or an age such as -7d"


def _bounds(schema: Mapping[str, Any]) -> str:
    if "exclusiveMinimum" in schema:
        return f" above {schema['exclusiveMinimum']}"
    least, most = schema.get("minimum"), schema.get("maximum")
    said = "" if least is None else f" from {least}"
    return said if most is None else f"{said} to {most}"
