"""Images and how they were made: `show`, `rerun` and `gallery`.

Open subject.py first: it finds the image or job that a command names. show.py describes it, rerun.py makes it again.
gallery.py collects cards (collect.py, cards.py) and writes the page (page.py); live.py keeps the page of a running
batch up to date. The page's own parts are gallery.html, gallery.css and gallery.js.
"""
