"""Tests of R²MRF, one folder per part of it; `support` holds what several of them need."""
