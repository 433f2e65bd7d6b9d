"""Rendered defocus: add a scene, a lens, an aperture or a way to divide a photo into layers here."""
