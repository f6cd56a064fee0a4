"""The reference of the configuration agrees with the models, both ways."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from holdfast.app.advice import _unwrapped
from holdfast.app.models import CatalogueModel, ConfigModel

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "configuration.md"
ROW = re.compile(r"^\| `([a-zA-Z_.]+)` \| ([^|]*?) ?\| \S", re.MULTILINE)


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Give every field that a person can write, with its default."""
    for name, found in model.model_fields.items():
        inner = _unwrapped(found.annotation)
        name = found.alias or name  # noqa: PLW2901 - as it is written in the file
        place = f"{prefix}{name}."
        if get_origin(inner) in {list, dict}:
            item = _unwrapped(get_args(inner)[-1])
            if isinstance(item, type) and issubclass(item, BaseModel):
                yield from fields(item, place + ("N." if get_origin(inner) is list else "NAME."))
                continue
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from fields(inner, place)
        else:
            yield prefix + name, found.get_default(call_default_factory=True)


KNOWN = dict([*fields(ConfigModel), *fields(CatalogueModel)])


def told() -> dict[str, str]:
    return {name: default.strip("` ") for name, default in ROW.findall(PAGE.read_text())}


def test_every_field_is_in_the_reference_and_nothing_else() -> None:
    environment = {name for name in told() if name.isupper()}

    assert set(told()) - environment == set(KNOWN)


@pytest.mark.parametrize("name", KNOWN)
def test_the_default_in_the_reference_is_the_real_one(name: str) -> None:
    default, written = KNOWN[name], told()[name]
    words: dict[str, str | None] = {"none": "None", "empty": "", "": str(PydanticUndefined)}
    if name in {"limits", "services.N.regions"}:
        return  # said in words
    expected = f"{default:g}" if isinstance(default, float) else str(default).replace("'", "")
    expected = expected.lower() if isinstance(default, bool) else expected  # as YAML writes it

    assert words.get(written, written) == expected
