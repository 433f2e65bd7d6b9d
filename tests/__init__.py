"""Tests of R²MRF, one folder for each side of it; what several of them need lies in `support`."""
