"""One thin module for each command: parse, call, hand to output. Imports `runtime`, `options`, `wiring` and those below."""
