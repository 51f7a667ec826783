"""
`qanat view`: a local endpoint beside the network, for tools that know nothing of Sapphire.

It holds the developer's keys, speaks plain JSON-RPC to the tool and the Sapphire way to the
gateway: calldata sealed to the epoch's key, calls signed, results opened. Nothing of a key leaves
this process.
"""
