"""Tests that kill, interrupt and mislead real processes."""
