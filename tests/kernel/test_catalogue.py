from holdfast.kernel import Catalogue, Service, SignalKey, SignalSpec, instance_name
from holdfast.kernel.catalogue import SignalForm, regions_of, split_instance


def catalogue() -> Catalogue:
    gauge = SignalSpec(form=SignalForm.GAUGE, metrics=("x",))
    services = (
        Service(
            name="api",
            depends_on=("db", "cache"),
            regions=("east", "west"),
            scrape={"east": "http://e", "west": "http://w"},
            signals={"latency": gauge},
        ),
        Service(name="worker", depends_on=("api",)),
        Service(name="db", depends_on=("disk",)),
        Service(name="disk"),
        Service(name="cache"),
        Service(name="alone"),
    )
    return Catalogue(services={service.name: service for service in services})


def test_dependencies_are_listed_nearest_first_and_each_once() -> None:
    assert catalogue().dependencies("worker") == ("api", "db", "cache", "disk")
    assert catalogue().dependents("disk") == ("db", "api", "worker")


def test_a_group_is_what_the_catalogue_connects_in_any_direction() -> None:
    assert catalogue().groups() == (("alone",), ("api", "cache", "db", "disk", "worker"))


def test_a_circle_of_dependencies_ends() -> None:
    services = {n: Service(name=n, depends_on=(m,)) for n, m in (("a", "b"), ("b", "a"))}
    assert Catalogue(services=services).dependencies("a") == ("b",)


def test_each_scraped_region_has_its_signals_and_up() -> None:
    assert catalogue().services["api"].series() == (
        SignalKey("api", "east", "latency"),
        SignalKey("api", "east", "up"),
        SignalKey("api", "west", "latency"),
        SignalKey("api", "west", "up"),
    )


def test_an_instance_is_written_and_read_back() -> None:
    assert instance_name("api", "east") == "api@east"
    assert split_instance("api@east") == ("api", "east")
    assert instance_name("db", "global") == "db"
    assert split_instance("db") == ("db", None)
    assert regions_of(catalogue().services.values()) == ("east", "global", "west")
