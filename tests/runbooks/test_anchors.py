"""What `#...` can point to in a runbook."""

from holdfast.runbooks import anchors

TEXT = """\
# The *first* heading: what's up?

## Step `one` of [two](x.md)

```
# not a heading
```

## Again
## Again ##
<a id="by-hand"></a>
"""


def test_headings_are_anchors_as_the_places_where_they_are_read_make_them() -> None:
    assert anchors(TEXT) == {
        "the-first-heading-whats-up",
        "step-one-of-two",
        "again",
        "again-1",
        "by-hand",
    }
