"""An example of a check and an action of one's own."""
