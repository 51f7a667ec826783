"""
Inference whose answers can be verified: OpenAI's routes in an attested app, a receipt for each.

Source: Attested Confidential Inference, `aci/1`, and its E2EE version 2: `spec/` of
Dstack-TEE/private-ai-gateway @ b6b5c1b, Apache-2.0; see docs/inference.md for what differs.
"""
