"""The verbs, each a straight line over the layers below."""
