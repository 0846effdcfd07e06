"""The control plane: status, orders, health. Must not know the data plane, and no order is obeyed by GET."""
