"""Prepaid credit of API keys, and a root of all receipts for each epoch, on a ParaTime."""
