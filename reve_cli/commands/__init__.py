"""One thin module for each command: parse, call, hand to output. Imports `wiring`, `options` and those below."""
