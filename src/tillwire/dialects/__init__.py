"""The protocols that tills and terminals speak, one folder each, with the same rooms in each.

`wire`, a module or a folder, turns bytes into messages and back, `face.py` serves tills,
`driver.py` reaches terminals; the folder's README says what is covered and what is assumed. No
dialect knows another.
"""
