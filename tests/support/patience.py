"""How long tests wait for what they know will happen."""

PATIENCE = 400  # seconds, on a machine where many others compute; a test that hangs is ended by pyproject.toml's limit
