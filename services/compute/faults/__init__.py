"""
Faults on demand, where the network has dev controls: a developer sees what others then do.

A fault decorates a contract that is there anyway, so that the honest code knows nothing of it.
The switchboard says which ones are armed.
"""
