"""Networks that a guidance trains on the views themselves: phi of variational score distillation."""
