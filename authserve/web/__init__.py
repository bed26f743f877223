"""The common part of all HTML pages: the browser's session, forms, rendering, brand and files.

`pages` calls it. It has no use case and no table; sessions of browsers belong to `auth`. Begin with
`setup.py`, which adds it to an application, then `rendering.py` and `forms.py`.
"""
