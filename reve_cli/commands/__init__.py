"""One thin module for each command: parse, call, hand to output. Imports `runtime`, `options` and those below."""
