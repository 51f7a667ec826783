"""How much the knowledge app takes."""

MAX_DOCUMENT_BYTES = 64 << 10
"""Of one document, UTF-8."""
MAX_CHUNKS = 256
"""Of one document. Source: `KnowledgeRegistry.MAX_CHUNKS`."""
CHUNK_CHARACTERS = 600
"""Longest piece that is found and shown to the model; MiniLM reads some 900 characters."""
MAX_DOCUMENTS = 1024
MAX_ALL_CHUNKS = 16_384
"""Of all documents together: 25 MB of vectors."""
LEAST_RUN = 24
"""Shorter runs of letters and digits are in many texts. Source: `KnowledgeRegistry.LEAST_RUN`."""
MAX_QUESTION_CHARACTERS = 2_000
MAX_SOURCES = 3
"""Chunks that one answer is made from."""
