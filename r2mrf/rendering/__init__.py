"""Rendered defocus: add a scene, a lens, an aperture or a way to cut a photo into layers here."""
