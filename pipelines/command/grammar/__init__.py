"""Defines the grammar of `r2mrf`: its commands, their options and help texts. Nothing here runs a command."""
