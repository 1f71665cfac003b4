"""Image files: their formats, and the record of how an image was made that is written into them.

Open `metadata.py` first: `read` and `embed`. `provenance.Provenance` is the record. `png`, `jpeg` and `webp` find and
replace metadata in the bytes of a file, without an image library, so the compressed pixels never change. `sidecar`
keeps the record beside an image, `conversion` converts images, and `formats` detects formats. Other packages use
`conversion`, `formats`, `metadata`, `provenance` and `sidecar`.
"""
