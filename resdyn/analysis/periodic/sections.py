PoincareMap = poincare_map = None
