"""The SDK for what uses private AI; needs the extra `qanat[ai]`."""
