"""Image files: their formats, and the record of how an image was made that is written into them.

Open `metadata.py` first: `read` and `embed`. `provenance.Provenance` is the record. `png`, `jpeg` and `webp` find and
replace metadata in the bytes of a file, without an image library, so the compressed pixels never change. `formats`
detects formats. Other packages use `formats`, `metadata` and `provenance`.
"""
