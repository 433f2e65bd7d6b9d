"""Tests of the stages, the jobs and the command `r2mrf`."""
