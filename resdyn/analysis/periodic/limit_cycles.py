limit_cycles = None
