"""Reads how one signal of a service is to be read: from a scrape, or by a query.

A query that names no region would give every region of its service the same number, and one
trouble would look like two; so it is refused.
"""

import re
from collections.abc import Sequence

from holdfast.app.advice import bad_field
from holdfast.app.models import SignalModel
from holdfast.app.strict import NAME
from holdfast.app.yaml_file import YamlFile
from holdfast.kernel.catalogue import SignalForm, SignalSpec
from holdfast.kernel.errors import BadInputError

_REGION = "{region}"
Field = Sequence[int | str]


def read_signal(
    model: SignalModel, field: Field, file: YamlFile, regions: Sequence[str]
) -> SignalSpec:
    """Give the signal. Raises BadInputError with its place."""
    from holdfast.detection import selectors_of  # with numpy, which most commands need not

    given = model.model_dump(exclude_none=True, exclude={"backfill"})
    if len(given) != 1:
        text = (
            f"names {len(given)} ways to read it; "
            "write exactly one of gauge, rate, mean, ratio, query"
        )
        raise bad_field(file, field, text)
    [(form, value)] = given.items()
    metrics = tuple(value) if isinstance(value, list) else (value,)
    spec = SignalSpec(form=SignalForm(form), metrics=metrics, backfill=model.backfill)
    for name, query in (("query", model.query), ("backfill", model.backfill)):
        if query is not None:
            _check_query(query, [*field, name], file, regions)
    if spec.form is SignalForm.QUERY:
        if spec.backfill is not None:
            text = "is not needed: the past of a query is asked for by itself; take it away"
            raise bad_field(file, [*field, "backfill"], text)
        return spec
    try:
        selectors_of(spec)
    except BadInputError as error:
        raise bad_field(file, [*field, form], f"can't be used: {error.message}") from None
    return spec


def _check_query(query: str, field: Field, file: YamlFile, regions: Sequence[str]) -> None:
    if _REGION in query:
        odd = next((region for region in regions if not re.fullmatch(NAME, region)), None)
        if odd is not None:
            text = (
                f"would hold the region {odd!r}, which is no plain name; "
                "name regions with letters, digits, dots, dashes"
            )
            raise bad_field(file, field, text)
    elif len(regions) > 1:
        text = (
            f"says the same for all {len(regions)} regions of this service; "
            'filter on one with {region}, such as http_requests_total{region="{region}"}'
        )
        raise bad_field(file, field, text)
