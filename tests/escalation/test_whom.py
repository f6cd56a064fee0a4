from dataclasses import replace

from holdfast.escalation import whom
from holdfast.kernel import Catalogue, Contact, Service

DANA = Contact(id="dana", name="Dana Okoye")
TEAM = Contact(id="team-shop", name="Shop team")
RAVI = Contact(id="ravi", name="Ravi Rao")
SHOP = Service(name="shop", on_call="dana", owners=("team-shop",))
STORE = Service(name="store", on_call="ravi")
CATALOGUE = Catalogue(
    services={"shop": SHOP, "store": STORE}, contacts={c.id: c for c in (DANA, TEAM, RAVI)}
)


def with_shop(service: Service) -> Catalogue:
    return replace(CATALOGUE, services={"shop": service, "store": STORE})


def test_the_first_level_is_on_call_for_the_root_then_owners_then_everybody_else() -> None:
    levels = [whom(CATALOGUE, ["shop"], level) for level in (1, 2, 3)]

    assert [found.contacts for found in levels] == [(DANA,), (TEAM,), (RAVI,)]
    assert [(found.level, found.levels) for found in levels] == [(1, 3), (2, 3), (3, 3)]
    assert levels[0].reasons[0].sentence() == (
        "Dana Okoye is on call for shop (source services.yaml)"
    )


def test_beyond_the_last_level_it_stays_with_the_last() -> None:
    assert whom(CATALOGUE, ["shop"], 9).contacts == (RAVI,)
    assert whom(CATALOGUE, ["shop"], 0).contacts == (DANA,)


def test_where_the_root_names_nobody_the_next_service_s_people_are_called_and_it_says_so() -> None:
    found = whom(with_shop(replace(SHOP, on_call=None)), ["shop", "store"], 1)

    assert found.contacts == (RAVI,)
    assert "shop names no `on_call`" in [reason.text for reason in found.reasons]


def test_someone_who_is_no_contact_is_named_as_missing() -> None:
    found = whom(with_shop(replace(SHOP, on_call="gone")), ["shop"], 1)

    assert found.contacts == (TEAM,)
    assert any("is 'gone', who is not among the contacts" in r.text for r in found.reasons)


def test_nobody_is_called_at_two_levels() -> None:
    same = with_shop(replace(SHOP, owners=("dana", "team-shop")))

    assert whom(same, ["shop"], 2).contacts == (TEAM,)


def test_an_unknown_service_still_reaches_somebody() -> None:
    found = whom(CATALOGUE, ["nowhere"], 1)

    assert found.contacts == (DANA, TEAM, RAVI)
    assert found.levels == 1
    assert any("nowhere is not in the catalogue" in reason.text for reason in found.reasons)


def test_a_catalogue_without_contacts_says_that_nobody_can_be_called() -> None:
    found = whom(Catalogue(services={"shop": SHOP}), ["shop"], 1)

    assert (found.contacts, found.levels) == ((), 1)
    assert "nobody can be called" in found.reasons[-1].text
    assert not found.reasons[-1].ok
