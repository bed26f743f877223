"""What `config.py` needs to read the environment: the model, parsers, production's rules.

Every package above may read `model.get_settings()`. Begin with `model.py`.
"""
