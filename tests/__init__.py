"""Tests of reve. They talk to its sandbox over loopback, to loopback servers of their own, and to real shells."""
