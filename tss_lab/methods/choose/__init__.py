"""Choosers: preferences to a set within a budget. One file each; numpy only."""
