"""How good signals are, measured on real data. Nothing here runs in a worker."""
