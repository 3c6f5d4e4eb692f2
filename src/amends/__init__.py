"""Durable sagas: every step done, or what was done made good."""
