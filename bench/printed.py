"""Figures beside their targets."""


def ratio(
    what: str, ours: float, theirs: float, *, at_least: float = 0, at_most: float = float("inf")
) -> None:
    """Print a ratio beside its target."""
    figure(f"{what}, ratio", ours / theirs, at_least=at_least, at_most=at_most)


def figure(what: str, value: float, *, at_least: float = 0, at_most: float = float("inf")) -> None:
    """Print a figure beside its target."""
    met = "met" if at_least <= value <= at_most else "NOT MET"
    target = f">= {at_least:,}" if at_least else f"<= {at_most:,}"
    print(f"{what:<66} {value:>12,.2f}   {target:<10} {met}", flush=True)
