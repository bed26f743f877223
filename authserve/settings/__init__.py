"""The settings: their model, their parsers, and the rules for production; for `config.py`.

Every higher package may call `model.SETTINGS.get()`. Begin with `model.py`.
"""
