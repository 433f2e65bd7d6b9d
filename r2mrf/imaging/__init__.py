"""Files to pixels and back: add an image format or a check for damage here; a change here changes every figure."""
