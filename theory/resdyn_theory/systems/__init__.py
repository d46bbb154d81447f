"""One module per family: ``SYSTEM``, its definition, and ``statements()``, what follows from it."""
