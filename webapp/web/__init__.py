"""What every request passes: access, origin, limits, headers, errors, logs."""
