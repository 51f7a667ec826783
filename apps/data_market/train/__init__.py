"""How a model is made from rows, so that it says next to nothing about any one of them."""
