"""Sizes as people read them."""

_UNITS = "BKMGTP"
_STEP = 1024
_TENTHS_BELOW = 10


def human(size: int) -> str:
    """Return a size as `ls -h` writes it: 512B, 2.3M."""
    value, unit = float(size), 0
    while value >= _STEP and unit < len(_UNITS) - 1:
        value, unit = value / _STEP, unit + 1
    if unit == 0:
        return f"{size}B"
    return f"{value:.1f}{_UNITS[unit]}" if value < _TENTHS_BELOW else f"{value:.0f}{_UNITS[unit]}"
