"""The settings: their model, their parsers, and the rules for production; for `config.py`.

Every higher package may call `model.get_settings()`. Begin with `model.py`.
"""
