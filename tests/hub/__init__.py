"""Tests of push and pull, against a stand-in for the Hub."""
