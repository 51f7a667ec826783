"""
What the services must agree on, in layers that import only lower ones.

errors < encoding < crypto < types < tee < rules < api | kit
"""
