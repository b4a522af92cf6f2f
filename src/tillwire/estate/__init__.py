"""The estate as people describe it: a TOML file, what it would change, and the change itself.

`file.py` reads and checks the file, `plan.py` compares it with the estate as it stands, `apply.py`
writes the difference in one unit of work. `lifecycle.py` has the steps of a single terminal's life,
under the same rules, which `places.py` has. `keys.py` makes the secrets, which stand in no file.
`driver_settings.py` reads a terminal's settings for its driver.
"""
