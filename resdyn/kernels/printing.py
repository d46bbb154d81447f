"""SymPy expressions as the text of a kernel."""

from typing import Any

import sympy
from sympy.printing.pycode import PythonCodePrinter


class _KernelPrinter(PythonCodePrinter):
    """Prints scalar arithmetic in the kernel's type ``real``, with the functions of lane_math.

    Every number is wrapped in ``real(…)``: numba promotes float32 with a Python number to float64.
    """

    def _wrap(self, value: float) -> str:
        return f"real({float(value)!r})"

    def _print_Integer(self, expr: Any) -> str:
        return self._wrap(expr)

    def _print_Rational(self, expr: Any) -> str:
        return self._wrap(expr)

    def _print_Float(self, expr: Any) -> str:
        return self._wrap(expr)

    def _print_NumberSymbol(self, expr: Any) -> str:
        return self._wrap(expr)

    _print_Pi = _print_Exp1 = _print_NumberSymbol

    def _print_exp(self, expr: Any) -> str:
        return f"full_exp({self._print(expr.args[0])})"

    def _print_tanh(self, expr: Any) -> str:
        return f"tanh({self._print(expr.args[0])})"

    def _print_Pow(self, expr: Any, **kwargs: Any) -> str:
        base, exponent = expr.as_base_exp()
        text = f"({self._print(base)})"
        if exponent.is_Integer and 0 < abs(int(exponent)) <= 8:
            product = " * ".join([text] * abs(int(exponent)))
            return f"({product})" if exponent > 0 else f"(real(1.0) / ({product}))"
        if exponent == sympy.Rational(1, 2):
            return f"real(math.sqrt({text}))"
        if exponent == -sympy.Rational(1, 2):
            return f"(real(1.0) / real(math.sqrt({text})))"
        return f"real({text} ** ({self._print(exponent)}))"

    def _print_Abs(self, expr: Any) -> str:
        return f"abs({self._print(expr.args[0])})"

    def _print_sign(self, expr: Any) -> str:
        x = self._print(expr.args[0])
        return f"(real(1.0) if {x} > real(0.0) else (real(-1.0) if {x} < real(0.0) else real(0.0)))"

    def _print_Heaviside(self, expr: Any) -> str:
        x, at_zero = (self._print(a) for a in expr.args)
        return f"(real(1.0) if {x} > real(0.0) else (real(0.0) if {x} < real(0.0) else {at_zero}))"

    def _extremum(self, expr: Any, sign: str) -> str:
        text = self._print(expr.args[0])
        for argument in expr.args[1:]:
            other = self._print(argument)
            # this way round, NaN in either argument stays NaN
            text = f"({text} if ({text}) {sign} ({other}) or ({text}) != ({text}) else {other})"
        return text

    def _print_Max(self, expr: Any) -> str:
        return self._extremum(expr, ">")

    def _print_Min(self, expr: Any) -> str:
        return self._extremum(expr, "<")

    def _print_Function(self, expr: Any) -> str:
        name = type(expr).__name__
        known = self.known_functions.get(name)
        if known is None:
            raise NotImplementedError(
                f"kernels cannot compute {name}; rewrite the expression with elementary functions, "
                "or give the system as a Python callable (resdyn.ResidualSystem)."
            )
        arguments = ", ".join(self._print(a) for a in expr.args)
        return f"real({known}({arguments}))"


def _printer() -> _KernelPrinter:
    return _KernelPrinter({"fully_qualified_modules": True, "allow_unknown_functions": False})


def kernel_text(expression: "sympy.Expr") -> str:
    """A scalar expression as kernel text; its symbols become the kernel's variables."""
    return _printer().doprint(expression)


def kernel_statements(names: list[str], expressions: list["sympy.Expr"]) -> list[str]:
    """Statements that set each name to its expression, with common subexpressions computed once."""
    temporaries, results = sympy.cse(expressions, symbols=sympy.numbered_symbols("w"))
    pairs = [(str(symbol), value) for symbol, value in temporaries]
    pairs += list(zip(names, results, strict=True))
    return [f"{name} = {kernel_text(value)}" for name, value in pairs]
